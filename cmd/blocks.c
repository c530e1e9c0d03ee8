/* blocks.c - tensors added up by the front of their names, see blocks.h. */
#include "blocks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first `depth` parts of a dotted name, without its last part (weight,
 * bias ..), numbers as '#'.  NULL when out of memory. */
static char *front(const char *name, int depth)
{
    const char *last = strrchr(name, '.'), *p = name;
    char *out = malloc(strlen(name) + 1), *to = out;

    if (!out)
        return NULL;
    last = last ? last : name + strlen(name);
    for (int part = 0; part < depth && p < last; part++) {
        size_t n = strcspn(p, "."), digits = strspn(p, "0123456789");

        if (part)
            *to++ = '.';
        if (n > 0 && digits == n) {
            *to++ = '#';
        } else {
            memcpy(to, p, n);
            to += n;
        }
        p += n + (p[n] == '.');
    }
    *to = '\0';
    return out;
}

/* The row of that name, made when there is none; takes name over. */
static block *find(blocks *b, char *name)
{
    for (int i = 0; i < b->count; i++)
        if (!strcmp(b->row[i].name, name)) {
            free(name);
            return &b->row[i];
        }
    if (b->count < BLOCKS_MOST) {
        b->row[b->count].name = name;
        return &b->row[b->count++];
    }
    free(name);
    b->over = true;
    return &b->row[BLOCKS_MOST];
}

void blocks_add(blocks *b, const char *name, int depth, size_t elements)
{
    char *key = front(name, depth);
    block *row;

    if (!key) {
        b->failed = true;
        return;
    }
    row = find(b, key);
    row->tensors++;
    row->elements += elements;
}

void blocks_free(blocks *b)
{
    for (int i = 0; i < b->count; i++)
        free(b->row[i].name);
    memset(b, 0, sizeof *b);
}
