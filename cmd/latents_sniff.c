/* latents_sniff.c - what a name is, and the small change of streams. */
#include "latents.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_HEADER 100000000

/* A stream of latents that holds one tensor and nothing else is a file of
 * tensors, too; its end record tells. */
static int kind_of_tensors(const char *name)
{
    pcv_weights *w = pcv_weights_open(name);
    int kind = w ? LATENTS_TENSORS : LATENTS_STREAM;

    for (size_t i = 0; w && i < pcv_weights_metas(w); i++)
        if (strcmp(pcv_weights_meta_key(w, i), "pcv.kind") == 0 &&
            pcv_weights_count(w) == 0)
            kind = LATENTS_STREAM;
    pcv_weights_close(w);
    pcv_error_clear();
    return kind;
}

static uint64_t little(const unsigned char *p)
{
    uint64_t n = 0;

    for (int i = 7; i >= 0; i--)
        n = n << 8 | p[i];
    return n;
}

static int kind_of_bytes(const char *name, const unsigned char *p, size_t n)
{
    if (n >= 6 && memcmp(p, "\x93NUMPY", 6) == 0)
        return LATENTS_NPY;
    if (n > 8 && p[8] == '{' && little(p) <= MAX_HEADER)
        return kind_of_tensors(name);
    return LATENTS_INPUT;
}

int latents_kind(const char *name)
{
    unsigned char first[16];
    struct stat st;
    size_t n = 0;
    FILE *f;

    if (strcmp(name, "-") == 0)
        return LATENTS_STREAM;
    if (stat(name, &st) < 0 || S_ISDIR(st.st_mode))
        return LATENTS_INPUT;
    if (!S_ISREG(st.st_mode))   /* what is read of it would be lost */
        return LATENTS_STREAM;
    f = fopen(name, "re");
    if (f) {
        n = fread(first, 1, sizeof first, f);
        fclose(f);
    }
    return kind_of_bytes(name, first, n);
}

const char *latents_short_id(const char *id, char text[16])
{
    const char *colon = strrchr(id, ':');
    const char *digits = colon ? colon + 1 : id;
    size_t n = strlen(digits);

    if (n <= 8)
        snprintf(text, 16, "%s", digits);
    else
        snprintf(text, 16, "%.4s...%s", digits, digits + n - 2);
    return text;
}

static int sextet(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

char *latents_from_base64(const char *text)
{
    char *bytes = calloc(strlen(text) + 1, 1), *to = bytes;
    unsigned bits = 0;
    int n = 0, v;

    for (; bytes && (v = sextet(*text)) >= 0; text++) {
        bits = bits << 6 | (unsigned)v;
        n += 6;
        if (n >= 8) {
            n -= 8;
            *to++ = (char)(bits >> n & 0xff);
        }
    }
    return bytes;
}
