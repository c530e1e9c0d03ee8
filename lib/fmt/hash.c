/* hash.c - checksums: XXH3 of 64 or 128 bits, as hexadecimal digits.  Against
 * accidents, not against anybody who wants to deceive. */
#include "fmt.h"

#include <xxhash.h>

#include <stdio.h>

struct pcv_hash {
    XXH3_state_t *state;
    int digits;
};

pcv_hash *pcv_hash_open(int digits)
{
    pcv_hash *h = pcv_alloc(1, sizeof *h);

    if (!h)
        return NULL;
    h->digits = digits;
    h->state = XXH3_createState();
    if (!h->state) {
        pcv_fail(EX_OSERR, "out of memory: no state for a checksum");
        pcv_free(h);
        return NULL;
    }
    if (digits == PCV_HASH_64)
        XXH3_64bits_reset(h->state);
    else
        XXH3_128bits_reset(h->state);
    return h;
}

void pcv_hash_add(pcv_hash *h, const void *data, size_t n)
{
    if (n == 0)
        return;
    if (h->digits == PCV_HASH_64)
        XXH3_64bits_update(h->state, data, n);
    else
        XXH3_128bits_update(h->state, data, n);
}

void pcv_hash_close(pcv_hash *h, char *text)
{
    XXH128_hash_t wide;

    if (h->digits == PCV_HASH_64) {
        snprintf(text, PCV_HASH_64 + 1, "%016jx",
                 (uintmax_t)XXH3_64bits_digest(h->state));
    } else {
        wide = XXH3_128bits_digest(h->state);
        snprintf(text, PCV_HASH_128 + 1, "%016jx%016jx",
                 (uintmax_t)wide.high64, (uintmax_t)wide.low64);
    }
    XXH3_freeState(h->state);
    pcv_free(h);
}

int pcv_hash_bytes(const void *data, size_t n, int digits, char *text)
{
    pcv_hash *h = pcv_hash_open(digits);

    if (!h)
        return -1;
    pcv_hash_add(h, data, n);
    pcv_hash_close(h, text);
    return 0;
}
