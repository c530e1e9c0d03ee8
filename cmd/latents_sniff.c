/* latents_sniff.c - what a name is, and the small change of streams. */
#include "latents.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
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

bool latents_in(const char *name)
{
    pcv_weights *w = pcv_weights_open(name);
    pcv_tensor_info t;
    bool found = false;

    for (size_t i = 0; w && i < pcv_weights_count(w); i++)
        if (pcv_weights_info(w, i, &t) == 0 && strcmp(t.name, "latents") == 0)
            found = true;
    pcv_weights_close(w);
    pcv_error_clear();
    return found;
}

static bool is_record(const unsigned char *p, size_t n)
{
    return n > 8 && p[8] == '{' && little(p) <= MAX_HEADER;
}

static int kind_of_file(const char *name)
{
    unsigned char first[16];
    FILE *f = fopen(name, "re");
    size_t n = f ? fread(first, 1, sizeof first, f) : 0;

    if (f)
        fclose(f);
    if (n >= 6 && memcmp(first, "\x93NUMPY", 6) == 0)
        return LATENTS_NPY;
    return is_record(first, n) ? kind_of_tensors(name) : LATENTS_INPUT;
}

/* ---- standard input -------------------------------------------------- */

/* Can it go on as a record?  Of its length the high bytes are 0. */
static bool begins_record(const unsigned char *p, size_t n)
{
    if (n > 3 && p[3] > MAX_HEADER >> 24)
        return false;
    for (size_t i = 4; i < n && i < 8; i++)
        if (p[i])
            return false;
    return n < 9 || is_record(p, n);
}

/* The beginning of a pipe, without taking it out: until it is clear what it
 * is, or nothing more comes for a while. */
static size_t peek_pipe(unsigned char *p, size_t most)
{
    const struct timespec moment = {0, 1000000};
    int copy[2];
    ssize_t n = 0;

    if (pipe2(copy, O_CLOEXEC) < 0)
        return 0;
    for (int i = 0; i < 100; i++) {
        n = tee(STDIN_FILENO, copy[1], most, 0);
        if (n <= 0 || read(copy[0], p, (size_t)n) != n || n > 8 ||
            !begins_record(p, (size_t)n))
            break;
        nanosleep(&moment, NULL);
    }
    close(copy[0]);
    close(copy[1]);
    return n > 0 ? (size_t)n : 0;
}

static size_t peek(unsigned char *p, size_t most)
{
    off_t at = lseek(STDIN_FILENO, 0, SEEK_CUR);
    struct stat st;
    ssize_t n = 0;

    if (fstat(STDIN_FILENO, &st) < 0)
        return 0;
    if (S_ISREG(st.st_mode) && at >= 0)
        n = pread(STDIN_FILENO, p, most, at);
    else if (S_ISSOCK(st.st_mode))
        n = recv(STDIN_FILENO, p, most, MSG_PEEK | MSG_WAITALL);
    else if (S_ISFIFO(st.st_mode))
        n = (ssize_t)peek_pipe(p, most);
    return n > 0 ? (size_t)n : 0;
}

/* What ends before it is clear is a stream that was cut off, unless it is
 * text. */
static int kind_of_stdin(void)
{
    unsigned char first[16];
    size_t n = peek(first, sizeof first);
    bool text = n > 1;

    for (size_t i = 0; i < n; i++)
        text = text && (first[i] >= ' ' || strchr("\t\n\r", first[i])) &&
               first[i];
    return begins_record(first, n) && !(text && n < 9) ? LATENTS_STREAM
                                                       : LATENTS_INPUT;
}

int latents_kind(const char *name)
{
    struct stat st;

    if (strcmp(name, "-") == 0)
        return kind_of_stdin();
    if (stat(name, &st) < 0 || S_ISDIR(st.st_mode))
        return LATENTS_INPUT;
    if (!S_ISREG(st.st_mode))   /* what is read of it would be lost */
        return LATENTS_STREAM;
    return kind_of_file(name);
}

/* ---- small change ---------------------------------------------------- */

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
