/* formats.h - private to lib/data: the rows of decode.c's table and what the
 * readers share.  A probed reader gets at least one byte, fills out or leaves
 * it empty, and sets *used on success.  Everything a file says about its size
 * is checked before anything is allocated. */
#ifndef PCV_FORMATS_H
#define PCV_FORMATS_H

#include "data.h"

/* Probed in this order. */
extern const pcv_format pcv_format_png;         /* png.c */
extern const pcv_format pcv_format_jpeg;        /* jpeg.c */
extern const pcv_format pcv_format_npy;         /* npy.c */
extern const pcv_format pcv_format_flo;         /* flow.c */
extern const pcv_format pcv_format_sound;       /* sound.c: WAV, FLAC, .. */
extern const pcv_format pcv_format_idx;         /* idx.c */
extern const pcv_format pcv_format_pnm;         /* pnm.c */

/* Never probed (probe is NULL): taken when the caller asks for them with
 * how->raw and how->pcm. */
extern const pcv_format pcv_format_raw;         /* raw.c */
extern const pcv_format pcv_format_pcm;         /* sound.c */

/* sound.c: may the file that begins with these bytes be read from a store, its
 * samples going to one?  Then do so (few samples come into memory): 0 or -1. */
bool pcv_sound_stored(const pcv_reading *how, const unsigned char *data,
                      size_t n);
int pcv_sound_read(const pcv_store *from, const char *name,
                   const pcv_reading *how, pcv_media *out);
/* pcv_resample of n stored samples; NULL and a message. */
pcv_store *pcv_resample_stored(pcv_store *in, size_t n, int from, int to,
                               size_t *m);

/* decode.c: out becomes a black picture, U8 [height][width][channels], if
 * that is within 65535 x 65535 and how->max_pixels.  0 or -1. */
int pcv_image_open(pcv_media *out, size_t height, size_t width, int channels,
                   const char *name, const pcv_reading *how);
/* decode.c: lays grey + alpha or RGBA on white, in place; 1 and 3 channels
 * stay as they are. */
void pcv_image_flatten(pcv_media *m);

/* picture.c: U8 [height][width][1|3] -> F32 [channels][height][width] by
 * prep's steps.  0 or -1. */
int pcv_picture_prepare(const pcv_prep *prep, const pcv_array *pixels,
                        const char *name, pcv_array *out);

/* decode.c: appends what a gzip file (all its members) unpacks to, at most
 * limit bytes.  The buffer is the caller's to free, also on failure.  0 or
 * -1. */
bool pcv_gzip_probe(const unsigned char *data, size_t n);
int pcv_gunzip(const unsigned char *data, size_t n, const char *name,
               size_t limit, pcv_buf *out);

#endif
