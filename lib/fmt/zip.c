/* zip.c - ZIP archives: the one includer of zip.h.
 *
 * libzip reads the directory at the archive's end and compares it with the
 * header before each entry (ZIP_CHECKCONS).  Beyond that an archive of
 * weights is held to be plain, so that what is checked here is what everybody
 * else reads:
 *
 *     names            unique: no reader can be shown another entry
 *     bytes, packed    together no more than the file has: no overlaps
 *     bytes, unpacked  at most 16 times the file
 *     checksum         verified by reading each entry to its end */
#include "parts.h"

#include <string.h>
#include <zip.h>

#define MAX_ENTRIES 100000
#define MAX_GROWTH 16

/* ---- messages -------------------------------------------------------- */

static int code_of(const zip_error_t *e)
{
    if (zip_error_code_zip(e) == ZIP_ER_MEMORY)
        return EX_OSERR;
    return zip_error_system_type(e) == ZIP_ET_SYS ? EX_IOERR : EX_DATAERR;
}

static const char *what_of(zip_error_t *e)
{
    if (zip_error_code_zip(e) == ZIP_ER_NOZIP)
        return "it has no directory at its end: truncated";
    return zip_error_strerror(e);
}

static int refuse_error(const char *file, const char *entry, zip_error_t *e)
{
    pcv_buf b = {0};

    pcv_buf_escape(&b, file);
    pcv_buf_puts(&b, ": ZIP archive: ");
    if (entry) {
        pcv_buf_puts(&b, "entry \"");
        pcv_buf_escape(&b, entry);
        pcv_buf_puts(&b, "\": ");
    }
    pcv_buf_puts(&b, what_of(e));
    if (!b.failed)
        pcv_fail(code_of(e), "%s", b.data);
    pcv_buf_free(&b);
    return -1;
}

static int refuse_entry(const char *file, const char *entry, const char *what)
{
    return pcv_refuse_text(file, NULL, "ZIP archive: entry", entry, what);
}

/* ---- opening --------------------------------------------------------- */

static struct zip *open_source(const char *path, const pcv_file *f,
                               const char *name)
{
    zip_error_t e;
    zip_source_t *s;
    zip_t *archive = NULL;

    zip_error_init(&e);
    if (path)
        s = zip_source_file_create(path, 0, -1, &e);
    else
        s = zip_source_buffer_create(f->data, f->size, 0, &e);
    if (s)
        archive = zip_open_from_source(s, ZIP_RDONLY | ZIP_CHECKCONS, &e);
    if (!archive) {
        refuse_error(name, NULL, &e);
        zip_source_free(s);
    }
    zip_error_fini(&e);
    return archive;
}

/* Names as they are: libzip would else translate what is not ASCII. */
static int check_name(pcv_zip *z, size_t i)
{
    const char *name = zip_get_name(z->archive, i, ZIP_FL_ENC_RAW);

    if (!name)
        return refuse_error(z->file, NULL, zip_get_error(z->archive));
    if (pcv_zip_find(z, name) != i)
        return refuse_entry(z->file, name, " is there twice");
    z->entry[i].name = name;
    return 0;
}

static int check_entry(pcv_zip *z, size_t i, size_t *packed, size_t *unpacked)
{
    const zip_uint64_t want = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE |
                              ZIP_STAT_CRC | ZIP_STAT_COMP_METHOD |
                              ZIP_STAT_ENCRYPTION_METHOD;
    const char *name = z->entry[i].name;
    struct zip_stat s;

    if (zip_stat_index(z->archive, i, 0, &s) < 0 || (s.valid & want) != want)
        return refuse_error(z->file, name, zip_get_error(z->archive));
    if (s.encryption_method != ZIP_EM_NONE)
        return refuse_entry(z->file, name, " is encrypted");
    if (s.comp_method != ZIP_CM_STORE && s.comp_method != ZIP_CM_DEFLATE)
        return refuse_entry(z->file, name, " is compressed, want it stored");
    z->entry[i].stored = s.comp_method == ZIP_CM_STORE;
    if (z->entry[i].stored && s.size != s.comp_size)
        return refuse_entry(z->file, name, " is stored in another size than "
                            "its own");
    z->entry[i].size = s.size;
    if (!pcv_add(*packed, s.comp_size, packed) ||
        !pcv_add(*unpacked, s.size, unpacked))
        return refuse_entry(z->file, name, " is larger than memory");
    return 0;
}

static int check_entries(pcv_zip *z)
{
    size_t packed = 0, unpacked = 0;

    for (size_t i = 0; i < z->count; i++)
        if (check_name(z, i) < 0 || check_entry(z, i, &packed, &unpacked) < 0)
            return -1;
    if (packed > z->bytes)
        return pcv_refuse(z->file, NULL, "ZIP archive: entries of %zu bytes "
                          "in a file of %zu: they overlap", packed, z->bytes);
    if (unpacked / MAX_GROWTH > z->bytes)
        return pcv_refuse(z->file, NULL, "ZIP archive: a file of %zu bytes "
                          "unpacks to %zu, want at most %d times as many",
                          z->bytes, unpacked, MAX_GROWTH);
    return 0;
}

int pcv_zip_open(pcv_zip *z, const char *path, const pcv_file *f,
                 const char *name)
{
    zip_int64_t n;

    *z = (pcv_zip){ .file = name, .bytes = f->size };
    z->archive = open_source(path, f, name);
    if (!z->archive)
        return -1;
    n = zip_get_num_entries(z->archive, 0);
    if (n > MAX_ENTRIES)
        pcv_refuse(name, NULL, "ZIP archive: %jd entries, want at most %d",
                   (intmax_t)n, MAX_ENTRIES);
    else if ((z->entry = pcv_alloc((size_t)n, sizeof *z->entry))) {
        z->count = (size_t)n;
        if (check_entries(z) == 0)
            return 0;
    }
    pcv_zip_close(z);
    return -1;
}

void pcv_zip_close(pcv_zip *z)
{
    if (z->archive)
        zip_discard(z->archive);
    pcv_free(z->entry);
    *z = (pcv_zip){0};
}

/* ---- reading --------------------------------------------------------- */

size_t pcv_zip_find(const pcv_zip *z, const char *name)
{
    zip_int64_t i = zip_name_locate(z->archive, name, ZIP_FL_ENC_RAW);

    return i < 0 ? SIZE_MAX : (size_t)i;
}

/* The byte beyond is asked for because libzip compares the checksum where
 * the entry ends. */
static bool read_all(zip_file_t *f, unsigned char *data, size_t n)
{
    unsigned char beyond;
    zip_int64_t got = 1;

    for (size_t at = 0; at < n && got > 0; at += (size_t)got)
        if ((got = zip_fread(f, data + at, n - at)) < 0)
            return false;
    return got > 0 && zip_fread(f, &beyond, 1) == 0;
}

void *pcv_zip_read(const pcv_zip *z, size_t i)
{
    const pcv_zip_entry *e = &z->entry[i];
    unsigned char *data = pcv_alloc(e->size, 1);
    zip_file_t *f = data ? zip_fopen_index(z->archive, i, 0) : NULL;
    bool whole = f && read_all(f, data, e->size);

    if (!whole && f && zip_error_code_zip(zip_file_get_error(f)) == ZIP_ER_OK)
        refuse_entry(z->file, e->name, " has not the size that it says");
    else if (!whole && data)
        refuse_error(z->file, e->name, f ? zip_file_get_error(f)
                                         : zip_get_error(z->archive));
    if (f)
        zip_fclose(f);
    if (whole)
        return data;
    pcv_free(data);
    return NULL;
}
