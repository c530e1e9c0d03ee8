/* torch_test.c - files of weights that are not safetensors: archives of
 * PyTorch and of NumPy and indexes of shards, written by hand, read, and
 * refused for every way in which they can be wrong. */
#include "archive.h"
#include "scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)

/* Bytes that may hold NUL. */
#define BYTES(s) s, sizeof(s) - 1

static void check_refused(const char *file, const char *message)
{
    pcv_tensors t;

    if (pcv_tensors_open(&t, file) == 0) {
        pcv_tensors_close(&t);
        fail_msg("%s was accepted, want \"%s\"", file, message);
    }
    assert_int_equal(t.count, 0);
    assert_null(strchr(pcv_error(), '\033'));
    assert_failed(EX_DATAERR, message);
}

static const pcv_tensor *find(const pcv_tensors *t, const char *name,
                              pcv_dtype dtype, size_t bytes)
{
    const pcv_tensor *one = pcv_tensors_find(t, name);

    assert_non_null(one);
    assert_int_equal(one->dtype, dtype);
    assert_int_equal(one->bytes, bytes);
    assert_true(one->offset == SIZE_MAX);
    assert_non_null(one->data);
    return one;
}

static void open_good(pcv_tensors *t, const char *file)
{
    if (pcv_tensors_open(t, file) < 0)
        fail_msg("%s", pcv_error());
}

/* ---- what torch.save writes ------------------------------------------ */

static const struct {
    const char *type;
    pcv_dtype dtype;
} storages[] = {
    {"DoubleStorage", PCV_F64}, {"FloatStorage", PCV_F32},
    {"HalfStorage", PCV_F16}, {"BFloat16Storage", PCV_BF16},
    {"LongStorage", PCV_I64}, {"IntStorage", PCV_I32},
    {"ShortStorage", PCV_I16}, {"CharStorage", PCV_I8},
    {"ByteStorage", PCV_U8}, {"BoolStorage", PCV_BOOL},
};

static void test_types(void **state)
{
    (void)state;
    for (size_t i = 0; i < PCV_LEN(storages); i++) {
        size_t size = pcv_dtype_size(storages[i].dtype);
        pickle_view v = { .type = storages[i].type, .key = "0", .count = 6,
                          .rank = 2, .dim = {2, 3} };
        pcv_buf p = {0};
        pcv_tensors t;

        pickle_one(&p, &v);
        archive_torch("x", &p, 6 * size);
        open_good(&t, "x");
        assert_int_equal(t.count, 1);
        assert_int_equal(t.tensor[0].dim[1], 3);
        assert_memory_equal(find(&t, "a", storages[i].dtype, 6 * size)->data,
                            "\0\1\2\3\4\5", 6);
        pcv_tensors_close(&t);
        pcv_buf_free(&p);
    }
}

/* Views of one storage of bytes 0 .. 23. */
static const struct {
    const char *name;
    pickle_view view;
    int64_t stride[3];
    const char *want;
    size_t n;
} views[] = {
    {"whole", {.rank = 2, .dim = {4, 6}}, {6, 1}, BYTES("\0\1\2\3\4\5\6\7")},
    {"again", {.rank = 2, .dim = {4, 6}}, {6, 1}, BYTES("\0\1\2")},
    {"row", {.offset = 6, .rank = 1, .dim = {6}}, {1},
     BYTES("\6\7\10\11\12\13")},
    {"column", {.offset = 1, .rank = 1, .dim = {4}}, {6},
     BYTES("\1\7\15\23")},
    {"transposed", {.rank = 2, .dim = {3, 2}}, {1, 3},
     BYTES("\0\3\1\4\2\5")},
    {"permuted", {.rank = 3, .dim = {2, 3, 2}}, {1, 4, 2},
     BYTES("\0\2\4\6\10\12\1\3\5\7\11\13")},
    {"scalar", {.offset = 23}, {0}, BYTES("\27")},
    {"one", {.offset = 23, .rank = 3, .dim = {1, 1, 1}}, {0, 99, 7},
     BYTES("\27")},
    {"ones", {.rank = 3, .dim = {2, 1, 2}}, {12, 500, 1}, BYTES("\0\1\14\15")},
    {"none", {.offset = 24, .rank = 2, .dim = {0, 3}}, {3, 0}, BYTES("")},
};

static void test_views(void **state)
{
    pcv_buf p = {0};
    pcv_tensors t;

    (void)state;
    pickle_begin(&p);
    pcv_buf_puts(&p, "ccollections\nOrderedDict\n)R(");
    for (size_t i = 0; i < PCV_LEN(views); i++) {
        pickle_view v = views[i].view;

        v.type = "CharStorage";
        v.key = "0";
        v.count = 24;
        v.stride = views[i].stride;
        pickle_text(&p, views[i].name);
        pickle_tensor(&p, &v);
    }
    pcv_buf_puts(&p, "u.");
    archive_torch("x", &p, 24);
    open_good(&t, "x");
    assert_int_equal(t.count, PCV_LEN(views));
    for (size_t i = 0; i < PCV_LEN(views); i++) {
        const pcv_tensor *one = pcv_tensors_find(&t, views[i].name);

        assert_ptr_equal(one, &t.tensor[i]);
        assert_memory_equal(one->data, views[i].want, views[i].n);
    }
    assert_ptr_equal(t.tensor[0].data, t.tensor[1].data);
    assert_int_equal(t.tensor[0].bytes, 24);
    assert_int_equal(t.tensor[6].rank, 0);
    pcv_tensors_close(&t);
    pcv_buf_free(&p);
}

static const pickle_view plain = { .type = "FloatStorage", .key = "0",
                                   .count = 6, .rank = 2, .dim = {2, 3} };

/* {"epoch": 3, .., KEY: OrderedDict({"a": Parameter, "n": 5}), ..} with a
 * _metadata, as training programs and modules save it. */
static void make_checkpoint(pcv_buf *p, const char *key)
{
    pickle_begin(p);
    pcv_buf_puts(p, "}q\1(");
    pickle_text(p, "epoch");
    pcv_buf_puts(p, "M\1\1");
    pickle_text(p, "losses");
    pcv_buf_add(p, BYTES("](G\0\0\0\0\0\0\0\0J\xff\xff\xff\xff\x8a\0Ne"));
    pickle_text(p, "name");
    pcv_buf_add(p, BYTES("U\3a\0b"));
    pickle_text(p, key);
    pcv_buf_puts(p, "ccollections\nOrderedDict\n)Rq\2(");
    pickle_text(p, "a");
    pickle_global(p, "torch._utils", "_rebuild_parameter");
    pickle_tensor(p, &plain);
    pcv_buf_puts(p, "q\3\x88" "ccollections\nOrderedDict\n)R\x87R");
    pickle_text(p, "n");
    pcv_buf_puts(p, "K\5u}");
    pickle_text(p, "_metadata");
    pcv_buf_puts(p, "}sb");
    pickle_text(p, "size");
    pickle_global(p, "torch", "Size");
    pcv_buf_puts(p, "K\1K\2\x86\x85R");
    pickle_text(p, "optimizer");
    pcv_buf_puts(p, "}");
    pickle_int(p, 0);
    pcv_buf_puts(p, "h\3su.");
}

static void test_checkpoints(void **state)
{
    static const char *const key[] = {
        "state_dict", "model_state_dict", "model",
    };
    pcv_buf p = {0};
    pcv_tensors t;

    (void)state;
    for (size_t i = 0; i < PCV_LEN(key); i++) {
        pcv_buf_clear(&p);
        make_checkpoint(&p, key[i]);
        archive_torch("x", &p, 24);
        open_good(&t, "x");
        assert_int_equal(t.count, 1);
        find(&t, "a", PCV_F32, 24);
        pcv_tensors_close(&t);
    }
    pcv_buf_clear(&p);
    make_checkpoint(&p, "weights");
    archive_torch("x", &p, 24);
    check_refused("x", "x: pickle of a dict without tensors by name, at the "
                  "top or in state_dict, model_state_dict or model");
    pcv_buf_free(&p);
}

/* ---- pickles that are refused ---------------------------------------- */

/* The pickle is PROTO 2, then the text. */
static void check_pickle(const void *text, size_t n, const char *message)
{
    pcv_buf p = {0};

    pickle_begin(&p);
    pcv_buf_add(&p, text, n);
    archive_torch("x", &p, 24);
    check_refused("x", message);
    pcv_buf_free(&p);
}

static const struct {
    const char *text;
    size_t n;
    const char *message;
} pickles[] = {
    {BYTES("."), "byte 2 (STOP): leaves 0 values and 0 marks, want one"},
    {BYTES("NN."), "byte 4 (STOP): leaves 2 values and 0 marks"},
    {BYTES("N(."), "byte 4 (STOP): leaves 1 values and 1 marks"},
    {BYTES("N."), "x: pickle of a value without tensors by name"},
    {BYTES("}."), "x: pickle of a dict without tensors by name"},
    {BYTES("}.N"), "byte 3 (STOP): 1 bytes follow, want none"},
    {BYTES("\x80\2N."), "byte 2 (PROTO): protocol 2, want 2, at byte 0"},
    {BYTES("N"), "x: pickle: 3 bytes end without STOP: truncated"},
    {BYTES("X\5\0\0\0abc"), "byte 2 (BINUNICODE): its argument goes beyond"},
    {BYTES("X\xff\xff\xff\xff" "abc"), "(BINUNICODE): its argument goes"},
    {BYTES("cos\nsystem"), "byte 2 (GLOBAL): its argument goes beyond"},
    {BYTES("J\0\0"), "byte 2 (BININT): its argument goes beyond the end, "
     "byte 5: truncated"},
    {BYTES("\xff"), "pickle, byte 2: 0xff is no opcode"},
    {BYTES("\x8a\11\0\0\0\0\0\0\0\0\1."), "(LONG1): an integer of 9 bytes"},
    {BYTES("a."), "byte 2 (APPEND): wants 2 values, the stack has 0"},
    {BYTES("NNa."), "byte 4 (APPEND): fills a value, want a list"},
    {BYTES("}Na."), "byte 4 (APPEND): fills a dict, want a list"},
    {BYTES("](}Na."), "byte 6 (APPEND): fills a dict, want a list"},
    {BYTES("](Na."), "byte 5 (APPEND): wants 2 values, the stack has 1"},
    {BYTES("]e."), "byte 3 (APPENDS): there is no MARK"},
    {BYTES("(Ne."), "byte 4 (APPENDS): wants 2 values, the stack has 1"},
    {BYTES("}(Ne."), "byte 5 (APPENDS): fills a dict, want a list"},
    {BYTES("]NNs."), "byte 5 (SETITEM): fills a list, want a dict"},
    {BYTES("NNNs."), "byte 5 (SETITEM): fills a value, want a dict"},
    {BYTES("K\1K\2\x86NNs."), "(SETITEM): fills a tuple, want a dict"},
    {BYTES("}(Nu."), "byte 5 (SETITEMS): 1 keys and values"},
    {BYTES("}]Ns."), "byte 5 (SETITEM): a list as a key"},
    {BYTES("}(}Nu."), "byte 6 (SETITEMS): a dict as a key"},
    {BYTES("t."), "byte 2 (TUPLE): there is no MARK"},
    {BYTES("N\x86."), "byte 3 (TUPLE2): wants 2 values, the stack has 1"},
    {BYTES("(N(\x85."), "byte 5 (TUPLE1): wants 1 values, the stack has 0"},
    {BYTES("q\1."), "byte 2 (BINPUT): wants 1 values"},
    {BYTES("Nr\x40\x42\x0f\0."), "memo 1000000, want less than 1000000"},
    {BYTES("Nr\xff\xff\xff\xff."), "memo 4294967295, want less than 1000000"},
    {BYTES("h\1."), "byte 2 (BINGET): memo 1 is empty"},
    {BYTES("Nq\2h\1."), "byte 5 (BINGET): memo 1 is empty"},
    {BYTES("Nq\2j\3\0\0\0."), "byte 5 (LONG_BINGET): memo 3 is empty"},
    /* values in themselves */
    {BYTES("]q\1h\1a."), "byte 7 (APPEND): fills a list that is already"},
    {BYTES("}q\1Nh\1s."), "(SETITEM): fills a dict that is already part of"},
    {BYTES("]q\1]q\2h\1ah\2a."), "(APPEND): fills a list that is already"},
    {BYTES("]q\1h\1\x85h\1N)a."), "(APPEND): fills a value, want a list"},
    {BYTES("]q\1\x85q\2h\1h\2a."), "(APPEND): fills a list that is already"},
    {BYTES("]q\1(h\1\x85h\1\x85" "e."), "(APPENDS): fills a list that is"},
    /* calls */
    {BYTES("NNR."), "byte 4 (REDUCE): calls a value with a value, want a "
     "global with a tuple"},
    {BYTES("N)R."), "(REDUCE): calls a value with a tuple"},
    {BYTES("ccollections\nOrderedDict\nNR."), "calls a global with a value"},
    {BYTES("ccollections\nOrderedDict\nN\x85R."),
     "(REDUCE): OrderedDict of 1 arguments, want none"},
    {BYTES("ctorch\nFloatStorage\n)R."), "(REDUCE): calls torch.FloatStorage"},
    {BYTES("ctorch\nSize\n)R."), "torch.Size, want of a tuple of at most 8"},
    {BYTES("ctorch\nSize\nN\x85R."), "torch.Size, want of a tuple"},
    {BYTES("ctorch\nSize\nN\x85\x85R."), "of torch.Size 0 is not a size"},
    {BYTES("ctorch\nSize\n(NNNNNNNNNt\x85R."), "torch.Size, want of a tuple"},
    {BYTES("ctorch._utils\n_rebuild_parameter\n)R."), "(REDUCE): parameter"},
    {BYTES("ctorch._utils\n_rebuild_parameter\nN\x88}\x87R."),
     "(REDUCE): parameter, want of (tensor, bool, OrderedDict)"},
    {BYTES("ctorch._utils\n_rebuild_tensor_v2\n)R."), "(REDUCE): tensor, "
     "want of (storage, offset, shape, strides, bool, OrderedDict)"},
    {BYTES("ctorch._utils\n_rebuild_tensor_v2\n(NNNNNNtR."), "tensor, want"},
    {BYTES("}}b."), "byte 4 (BUILD): of a dict with a dict, want an Ordered"},
    {BYTES("]}b."), "byte 4 (BUILD): of a list with a dict"},
    {BYTES("ccollections\nOrderedDict\n}b."), "(BUILD): of a global with"},
    {BYTES("ccollections\nOrderedDict\n)RNb."), "(BUILD): of a dict with a v"},
    {BYTES("NQ."), "byte 3 (BINPERSID): of a value of 1, want a tuple of 5"},
    {BYTES("N\x85Q."), "(BINPERSID): of a tuple of 1, want a tuple of 5"},
    {BYTES("(NNNNNtQ."), "(BINPERSID): want ('storage', type, key, location"},
    {BYTES("(U\7storagectorch\nFloatStorage\nU\1" "0U\3cpuJ\xff\xff\xff\xff"
           "tQ."), "(BINPERSID): want ('storage', type, key, location, count)"},
    {BYTES("(U\7storagectorch\nSize\nU\1" "0U\3cpuK\6tQ."), "want ('storage'"},
    {BYTES("(U\7sturagectorch\nFloatStorage\nU\1" "0U\3cpuK\6tQ."), "want ('s"},
};

static void test_pickles(void **state)
{
    (void)state;
    for (size_t i = 0; i < PCV_LEN(pickles); i++)
        check_pickle(pickles[i].text, pickles[i].n, pickles[i].message);
}

static const char allowed[] = "(.JKMNQRUXabc}eh]jqrst)uG\x80\x85\x86\x87\x88"
                              "\x89\x8a";

/* Every other byte ends the reading, whatever follows. */
static void test_opcodes(void **state)
{
    char text[64], message[64];

    (void)state;
    for (int code = 0; code < 256; code++) {
        if (code && strchr(allowed, code))
            continue;
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = i % 8 ? '\0' : '\n';
        text[0] = (char)code;
        snprintf(message, sizeof message, "x: pickle, byte 2");
        check_pickle(text, sizeof text, message);
        check_pickle(text, 1, message);
    }
    assert_int_equal(strlen(allowed), 32);
}

static const char *const foreign[] = {
    "os\nsystem", "posix\nsystem", "nt\nsystem", "subprocess\nPopen",
    "subprocess\ncheck_output", "builtins\neval", "builtins\nexec",
    "__builtin__\neval", "builtins\ngetattr", "builtins\n__import__",
    "builtins\nopen", "builtins\ncompile", "urllib\nurlretrieve",
    "urllib.request\nurlopen", "importlib\nimport_module", "runpy\nrun_path",
    "runpy\n_run_code", "pickle\nloads", "_pickle\nloads", "marshal\nloads",
    "torch\nload", "torch.hub\nload", "torch.serialization\nload",
    "torch.jit\nload", "numpy\nload", "numpy.core.multiarray\n_reconstruct",
    "numpy.testing._private.utils\nrunstring", "webbrowser\nopen",
    "socket\nsocket", "ctypes\nCDLL", "pip\nmain", "pty\nspawn",
    "functools\npartial", "operator\nattrgetter", "operator\nmethodcaller",
    "types\nFunctionType", "codecs\ndecode", "copyreg\n_reconstructor",
    "collections\nordereddict", "collections\nOrderedDict ",
    "collections \nOrderedDict", "collections.\nOrderedDict",
    "collections\nOrderedDict.clear", "collections.abc\nOrderedDict",
    "collections\ndefaultdict", "torch\nFloatStorage\r", "torch\nUntyped",
    "torch\nFloatTensor", "torch\nSizes", "torch\n", "\ntorch", "\n",
    "torch._utils\n_rebuild_tensor", "torch._utils\n_rebuild_tensor_v3",
    "torch._utils\n_rebuild_sparse_tensor", "torch\n_utils._rebuild_tensor_v2",
    "torch._tensor\n_rebuild_from_type_v2", "torch.nn.modules\nLinear",
    "torch\nComplexFloatStorage", "torch\nQInt8Storage", "\033[2J\n\033[2J",
};

static void test_globals(void **state)
{
    pcv_buf p = {0};

    (void)state;
    for (size_t i = 0; i < PCV_LEN(foreign); i++) {
        pcv_buf_clear(&p);
        pcv_buf_printf(&p, "Nc%s\n)R.", foreign[i]);
        check_pickle(p.data, p.len, "x: pickle, byte 3 (GLOBAL): asks for ");
    }
    check_pickle(BYTES("cos\nsystem\nX\2\0\0\0id\x85R."),
                 "asks for os.system, which no state dict needs and which "
                 "could run code (pcv-inspect --pickle lists all");
    check_pickle(BYTES("ctorch\nFloat\0Storage\n."), "asks for torch.Float");
    pcv_buf_clear(&p);
    pcv_buf_puts(&p, "c");
    for (int i = 0; i < 100000; i++)
        pcv_buf_puts(&p, "\xc3");
    pcv_buf_puts(&p, "\nx\n.");
    check_pickle(p.data, p.len, "asks for \\303\\303");
    pcv_buf_free(&p);
}

/* ---- tensors that lie ------------------------------------------------ */

#define VIEW(...) \
    { .type = "FloatStorage", .key = "0", .count = 6, __VA_ARGS__ }
#define MAX INT64_MAX

static const struct {
    pickle_view view;
    int64_t stride[9];          /* {-1}: contiguous */
    const char *message;
} lies[] = {
    {VIEW(.rank = 1, .dim = {7}), {1},
     "tensor's last element is number 6 of its storage, which has 6"},
    {VIEW(.rank = 1, .dim = {6}, .offset = 1), {1}, "number 6 of its storage"},
    {VIEW(.rank = 1, .dim = {6}, .offset = -1), {1}, "tensor, want of (stor"},
    {VIEW(.rank = 0, .offset = 6), {0}, "number 6 of its storage, which has"},
    {VIEW(.rank = 1, .dim = {0}, .offset = 7), {1}, "number 7 of its storage"},
    {VIEW(.rank = 1, .dim = {-1}), {1}, "tensor: dimension 0 is not a size"},
    {VIEW(.rank = 1, .dim = {2}), {-3}, "tensor: stride 0 is not a size"},
    {VIEW(.rank = 2, .dim = {2, 3}), {2, 1}, "tensor whose elements overlap: "
     "stride 2 of axis 0 reaches what others reach"},
    {VIEW(.rank = 2, .dim = {2, 2}), {1, 1}, "elements overlap: stride 1 of"},
    {VIEW(.rank = 2, .dim = {2, 2}), {0, 1}, "expanded along axis 0 (stride"},
    {VIEW(.rank = 1, .dim = {6}), {0}, "expanded along axis 0 (stride 0): "
     "save a copy"},
    {VIEW(.rank = 1, .dim = {MAX}), {0}, "expanded along axis 0"},
    {VIEW(.rank = 2, .dim = {MAX, MAX}), {0, 0}, "shape too large to address"},
    {VIEW(.rank = 3, .dim = {1 << 30, 1 << 30, 1 << 30}), {1, 1, 1},
     "tensor with a shape too large to address"},
    {VIEW(.rank = 2, .dim = {2, 3}), {MAX, MAX}, "strides too large to addr"},
    {VIEW(.rank = 2, .dim = {3, 3}), {MAX, MAX}, "strides too large to addr"},
    {VIEW(.rank = 1, .dim = {2}), {MAX}, "is number 9223372036854775807 of"},
    {VIEW(.rank = 2, .dim = {2, 2}), {MAX, 2}, "is number 9223372036854775809"},
    {VIEW(.rank = 9, .dim = {1, 1, 1, 1, 1, 1, 1, 1, 1}), {0},
     "tensor of 9 axes and 9 strides, want at most 8"},
    {{ .type = "FloatStorage", .key = "0", .count = 7, .rank = 0 }, {0},
     "x: pickle: storage \"0\" has 7 elements of type F32, its entry in the "
     "archive 24 bytes"},
    {{ .type = "FloatStorage", .key = "0", .count = 5, .rank = 0 }, {0},
     "storage \"0\" has 5 elements of type F32"},
    {{ .type = "DoubleStorage", .key = "0", .count = 6, .rank = 0 }, {0},
     "storage \"0\" has 6 elements of type F64, its entry"},
    {{ .type = "FloatStorage", .key = "0", .count = MAX, .rank = 0 }, {0},
     "storage \"0\" has 9223372036854775807 elements"},
    {{ .type = "FloatStorage", .key = "1", .count = 6, .rank = 0 }, {0},
     "x: pickle: storage \"1\" is not in the archive"},
    {{ .type = "FloatStorage", .key = "", .count = 6, .rank = 0 }, {0},
     "x: pickle: storage \"\" is not in the archive"},
    {{ .type = "FloatStorage", .key = "../data/0", .count = 6, .rank = 0 },
     {0}, "storage \"../data/0\" is not in the archive"},
    {{ .type = "FloatStorage", .key = "/0", .count = 6, .rank = 0 }, {0},
     "storage \"/0\" is not in the archive"},
    {{ .type = "FloatStorage", .key = "\033", .count = 6, .rank = 0 }, {0},
     "storage \"\\033\" is not in the archive"},
};

static void test_lies(void **state)
{
    pcv_buf p = {0};

    (void)state;
    for (size_t i = 0; i < PCV_LEN(lies); i++) {
        pickle_view v = lies[i].view;

        v.stride = lies[i].stride;
        pcv_buf_clear(&p);
        pickle_one(&p, &v);
        archive_torch("x", &p, 24);
        check_refused("x", lies[i].message);
    }
    pcv_buf_free(&p);
}

/* {NAME: tensor, ..}; names as they are, n bytes each. */
static void check_names(const char *const *name, const size_t *n,
                        size_t count, const char *message)
{
    pcv_buf p = {0};
    unsigned char length[4] = {0};

    pickle_begin(&p);
    pcv_buf_puts(&p, "}(");
    for (size_t i = 0; i < count; i++) {
        length[0] = n[i] & 255;
        length[1] = (unsigned char)(n[i] >> 8);
        pcv_buf_puts(&p, "X");
        pcv_buf_add(&p, length, 4);
        pcv_buf_add(&p, name[i], n[i]);
        pickle_tensor(&p, &plain);
    }
    pcv_buf_puts(&p, "u.");
    archive_torch("x", &p, 24);
    check_refused("x", message);
    pcv_buf_free(&p);
}

static void test_names(void **state)
{
    static char wide[1026];
    pcv_buf p = {0};

    (void)state;
    memset(wide, 'w', 1025);
    check_names((const char *[]){ "a", "b", "a" }, (size_t[]){ 1, 1, 1 }, 3,
                "x: tensor \"a\" is there twice");
    check_names((const char *[]){ "a\0b" }, (size_t[]){ 3 }, 1,
                "x: tensor \"a\" has a name that is not UTF-8, or has NUL");
    check_names((const char *[]){ "a\xff" }, (size_t[]){ 2 }, 1,
                "x: tensor \"a\\377\" has a name that is not UTF-8");
    check_names((const char *[]){ "\xed\xa0\x80" }, (size_t[]){ 3 }, 1,
                "has a name that is not UTF-8");
    check_names((const char *[]){ "\xc3" }, (size_t[]){ 1 }, 1,
                "has a name that is not UTF-8");
    check_names((const char *[]){ "__metadata__" }, (size_t[]){ 12 }, 1,
                "tensor \"__metadata__\" has the name that safetensors");
    check_names((const char *[]){ wide }, (size_t[]){ 1025 }, 1,
                "x: a tensor's name has 1025 bytes, want at most 1024");
    pickle_begin(&p);
    pcv_buf_puts(&p, "}K\1");
    pickle_tensor(&p, &plain);
    pcv_buf_puts(&p, "s.");
    archive_torch("x", &p, 24);
    check_refused("x", "pickle: an integer is the name of a tensor, want a t");
    pcv_buf_free(&p);
}

/* ---- bombs ----------------------------------------------------------- */

static void repeat(pcv_buf *b, const char *text, size_t n)
{
    size_t each = strlen(text);

    for (size_t i = 0; i < n; i++)
        pcv_buf_add(b, text, each);
}

static void check_bomb(const char *begin, const char *again, size_t n,
                       const char *message)
{
    pcv_buf p = {0};

    pcv_buf_puts(&p, begin);
    repeat(&p, again, n);
    check_pickle(p.data, p.len, message);
    pcv_buf_free(&p);
}

static void test_bombs(void **state)
{
    pickle_view v = plain;
    pcv_buf p = {0};

    (void)state;
    check_bomb("", "N", 1000001, "more than 1000000 values on the stack");
    check_bomb("", "(", 1000001, "more than 1000000 marks");
    check_bomb("", "]", 1000001, "more than 1000000 lists and dicts");
    check_bomb("]", "Na", 4000001, "more than 4000000 values in tuples");
    check_bomb("]", "N\x85" "a", 2000001, "more than 4000000 values in tup");
    check_bomb("N", "\x85", 65, "values nested more than 64 deep");
    check_bomb("", "](", 1000, "without STOP");
    check_bomb("Nq\1", "h\1h\1\x86q\1", 65, "nested more than 64 deep");
    check_bomb("]q\1", "](h\1h\1eq\1", 64, "nested more than 64 deep");
    check_bomb("]q\1", "}Nh\1sq\1", 64, "nested more than 64 deep");
    /* depths that are allowed, and paths that nobody walks: 2^63 of them */
    check_bomb("Nq\1", "h\1h\1\x86q\1", 60, "without STOP");
    /* names enough to make 192 of 24 bytes out of a file that has not 1 KiB
     * for 4 times as many */
    pickle_begin(&p);
    pcv_buf_puts(&p, "}(");
    pickle_text(&p, "a");
    v.type = "ByteStorage";
    v.count = 256;
    v.dim[0] = 16;
    v.dim[1] = 16;
    pickle_tensor(&p, &v);
    pcv_buf_puts(&p, "q\1");
    for (char c = 'b'; c <= 'z'; c++) {
        pickle_text(&p, (char[]){ c, 0 });
        pcv_buf_puts(&p, "h\1");
    }
    pcv_buf_puts(&p, "u.");
    archive_torch("x", &p, 256);
    check_refused("x", "times the file's: too many share a storage");
    pcv_buf_free(&p);
}

/* ---- archives that are refused --------------------------------------- */

static pcv_buf good_pickle(void)
{
    pcv_buf p = {0};

    pickle_one(&p, &plain);
    return p;
}

/* data.pkl, data/0, then one entry more. */
static void check_entry(const archive_entry *e, const char *message)
{
    pcv_buf p = good_pickle();
    archive a = {0};

    archive_put(&a, "p/data.pkl", p.data, p.len);
    archive_put(&a, "p/data/0", "0123456789abcdefghijklmn", 24);
    archive_add(&a, e);
    archive_end(&a);
    scratch_put("x", a.file.data, a.file.len);
    check_refused("x", message);
    archive_free(&a);
    pcv_buf_free(&p);
}

#define ENTRY(...) (&(archive_entry){ __VA_ARGS__, .data = "abc", .n = 3 })

static void test_entries(void **state)
{
    (void)state;
    check_entry(ENTRY(.name = "p/data/0"), "x: ZIP archive: ");
    check_entry(ENTRY(.name = "p/data.pkl"), "x: ZIP archive: ");
    check_entry(ENTRY(.name = "q/data.pkl"), "a ZIP archive with neither one "
                "data.pkl in a directory (PyTorch) nor .npy files alone");
    check_entry(ENTRY(.name = "p/x", .flags = 1),
                "ZIP archive: entry \"p/x\" is encrypted");
    check_entry(ENTRY(.name = "p/x", .method = 12, .size = 3),
                "ZIP archive: entry \"p/x\" is compressed, want it stored");
    check_entry(ENTRY(.name = "p/x", .method = 8, .size = 3),
                "ZIP archive: entry \"p/x\" is compressed, want it stored");
    check_entry(ENTRY(.name = "p/x", .size = 4),
                "entry \"p/x\" is stored in another size than its own");
    check_entry(ENTRY(.name = "p/x", .claim = 1), "x: ZIP archive: ");
    check_entry(ENTRY(.name = "p/x", .local = "p/y"), "x: ZIP archive: ");
    check_entry(ENTRY(.name = "p/\033"), "x: ZIP archive: ");
    check_entry(ENTRY(.name = "p/\xff"), "x: ZIP archive: ");
    check_entry(&(archive_entry){ .name = "p/byteorder", .data = "bigend",
                .n = 6 }, "entry \"p/byteorder\" says another byte order "
                "than little");
    check_entry(ENTRY(.name = "p/byteorder"), "another byte order");
    check_entry(&(archive_entry){ .name = "p/byteorder", .data = "little",
                .n = 6, .crc = 1 }, "entry \"p/byteorder\": CRC error");
    check_entry(ENTRY(.name = "p/constants.pkl"), "a TorchScript archive, "
                "which holds code: in PyTorch, if you trust it, torch.jit");
    check_entry(ENTRY(.name = "p/code/x.py", .method = 8, .size = 3),
                "a TorchScript archive");
}

/* Checksums of what is read, and entries that share their bytes. */
static void test_damage(void **state)
{
    pcv_buf p = good_pickle();
    archive a = {0};
    char name[32];

    (void)state;
    for (int bad = 0; bad < 2; bad++) {
        archive_add(&a, &(archive_entry){ .name = "p/data.pkl",
                    .data = p.data, .n = p.len, .crc = bad == 0 });
        archive_add(&a, &(archive_entry){ .name = "p/data/0", .data = "0123456"
                    "789abcdefghijklmn", .n = 24, .crc = bad == 1 });
        archive_end(&a);
        scratch_put("x", a.file.data, a.file.len);
        check_refused("x", bad ? "entry \"p/data/0\": CRC error"
                               : "entry \"p/data.pkl\": CRC error");
        archive_free(&a);
    }
    archive_put(&a, "p/data.pkl", p.data, p.len);
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "p/data/%d", i);
        archive_add(&a, &(archive_entry){ .name = name, .local = "p/data/0",
                    .data = p.data, .n = p.len, .shared = i > 0 });
    }
    archive_end(&a);
    scratch_put("x", a.file.data, a.file.len);
    check_refused("x", "x: ZIP archive: ");
    archive_free(&a);
    pcv_buf_free(&p);
}

static void test_truncated(void **state)
{
    pcv_buf p = good_pickle();
    pcv_file f;

    (void)state;
    archive_torch("x", &p, 24);
    assert_int_equal(pcv_file_open(&f, "x", 0), 0);
    for (size_t n = 0; n < f.size; n++) {
        scratch_put("y", f.data, n);
        check_refused("y", n < 4 ? "y: " : "y: ZIP archive: ");
    }
    pcv_file_close(&f);
    for (size_t n = 0; n < p.len; n++) {
        pcv_buf cut = p;

        cut.len = n;
        archive_torch("x", &cut, 24);
        check_refused("x", "x: pickle");
    }
    pcv_buf_free(&p);
}

static void test_strangers(void **state)
{
    static char tar[512];

    (void)state;
    scratch_put("x", BYTES("\x80\2\x8a\nl\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
                           ".\x80\2M\xe9\3."));
    check_refused("x", "x: a file of PyTorch before 1.6 (pickles without an "
                  "archive): load it in PyTorch, if you trust it");
    scratch_put("x", BYTES("\x80\4N."));
    check_refused("x", "x: a bare pickle, not an archive of PyTorch");
    memcpy(tar + 257, "ustar", 5);
    scratch_put("x", tar, sizeof tar);
    check_refused("x", "x: a tar archive, perhaps of PyTorch before 0.1.10");
    scratch_puts("x", "");
    check_refused("x", "x: 0 bytes, want at least 8");
    scratch_put("x", BYTES("PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"));
    check_refused("x", "x: a ZIP archive with neither");
    assert_int_equal(pcv_tensors_open(&(pcv_tensors){0}, "none"), -1);
    assert_failed(EX_NOINPUT, "none: No such file");
}

/* Every allocation that fails is said, and nothing is lost (the sanitizers
 * see it). */
static void check_memory(const char *file)
{
    long k = 1;

    for (; k < 500; k++) {
        pcv_tensors t;
        int status;

        pcv_alloc_fail_at(k);
        status = pcv_tensors_open(&t, file);
        pcv_alloc_fail_at(0);
        pcv_tensors_close(&t);
        if (status == 0)
            break;
        assert_failed(EX_OSERR, "out of memory");
    }
    assert_int_equal(pcv_error_code(), 0);
    assert_true(k > 5 && k < 500);
}

static void test_memory(void **state)
{
    pcv_buf p = {0};

    (void)state;
    make_checkpoint(&p, "model");
    archive_torch("x", &p, 24);
    check_memory("x");
    pcv_buf_free(&p);
}

/* ---- .npz ------------------------------------------------------------ */

static void npy(pcv_buf *b, const char *descr, const char *order,
                const char *shape, const void *data, size_t n)
{
    pcv_buf head = {0};

    pcv_buf_clear(b);
    pcv_buf_printf(&head, "{'descr': '%s', 'fortran_order': %s, 'shape': %s}"
                   "\n", descr, order, shape);
    pcv_buf_add(b, "\x93NUMPY\1\0", 8);
    pcv_buf_add(b, &(unsigned char){ (unsigned char)head.len }, 1);
    pcv_buf_add(b, "", 1);
    pcv_buf_add(b, head.data, head.len);
    pcv_buf_add(b, data, n);
    pcv_buf_free(&head);
}

static void npz_end(archive *a, const char *file)
{
    archive_end(a);
    scratch_put(file, a->file.data, a->file.len);
    archive_free(a);
}

static void make_npz(const char *file)
{
    pcv_buf b = {0}, packed = {0};
    archive a = {0};

    npy(&b, "|u1", "False", "(2, 3)", "\0\1\2\3\4\5", 6);
    archive_put(&a, "c.npy", b.data, b.len);
    npy(&b, "<i2", "True", "(2, 2)", "\0\1\2\3\4\5\6\7", 8);
    archive_put(&a, "layers/f.npy", b.data, b.len);
    npy(&b, ">f4", "False", "()", "\0\1\2\3", 4);
    archive_put(&a, "big.npy", b.data, b.len);
    npy(&b, "|b1", "True", "(0, 3)", "", 0);
    archive_put(&a, "none.npy", b.data, b.len);
    npy(&b, "<f8", "False", "(1,)", "\0\1\2\3\4\5\6\7", 8);
    archive_deflate(&packed, b.data, b.len);
    archive_add(&a, &(archive_entry){ .name = "packed.npy",
                .data = packed.data, .n = packed.len, .method = 8,
                .size = b.len, .crc = archive_crc(b.data, b.len) });
    npz_end(&a, file);
    pcv_buf_free(&packed);
    pcv_buf_free(&b);
}

static void test_npz(void **state)
{
    pcv_tensors t;

    (void)state;
    make_npz("x");
    open_good(&t, "x");
    assert_int_equal(t.count, 5);
    assert_memory_equal(find(&t, "c", PCV_U8, 6)->data, "\0\1\2\3\4\5", 6);
    assert_memory_equal(find(&t, "layers/f", PCV_I16, 8)->data,
                        "\0\1\4\5\2\3\6\7", 8);
    assert_memory_equal(find(&t, "big", PCV_F32, 4)->data, "\3\2\1\0", 4);
    assert_int_equal(find(&t, "none", PCV_BOOL, 0)->dim[1], 3);
    assert_memory_equal(find(&t, "packed", PCV_F64, 8)->data,
                        "\0\1\2\3\4\5\6\7", 8);
    pcv_tensors_close(&t);
    check_memory("x");
}

static void check_npy(const char *name, const void *data, size_t n,
                      const char *message)
{
    archive a = {0};

    archive_put(&a, name, data, n);
    npz_end(&a, "x");
    check_refused("x", message);
}

static void test_npz_refused(void **state)
{
    pcv_buf b = {0}, packed = {0};
    archive a = {0};

    (void)state;
    npy(&b, "<f4", "False", "(2,)", "1234567", 7);
    check_npy("a.npy", b.data, b.len, "x: a.npy: .npy: 7 bytes of elements, "
              "want 8 for 2 F32");
    npy(&b, "|O", "False", "(1,)", "12345678", 8);
    check_npy("a.npy", b.data, b.len, "x: a.npy: .npy of type '|O'");
    check_npy("a\xc3\xa9.npy", "abc", 3, "x: a\xc3\xa9.npy: not an .npy file");
    check_npy(".npy", b.data, b.len, "a ZIP archive with neither");
    check_npy("a.txt", b.data, b.len, "a ZIP archive with neither");
    npy(&b, "|u1", "False", "(1,)", "1", 1);
    check_npy("\xff.npy", b.data, b.len, "x: ZIP archive: ");
    pcv_buf_clear(&b);
    repeat(&b, "zeros, many of them", 10000);
    archive_deflate(&packed, b.data, b.len);
    archive_add(&a, &(archive_entry){ .name = "a.npy", .data = packed.data,
                .n = packed.len, .method = 8, .size = b.len });
    npz_end(&a, "x");
    check_refused("x", "unpacks to 190000, want at most 16 times as many");
    pcv_buf_free(&packed);
    pcv_buf_free(&b);
}

/* What is deflated says how long it is, and may lie. */
static void test_npz_deflated(void **state)
{
    pcv_buf b = {0}, packed = {0};
    size_t wrong[] = { 1, 50, 1000 };

    (void)state;
    npy(&b, "|u1", "False", "(8,)", "12345678", 8);
    archive_deflate(&packed, b.data, b.len);
    for (size_t i = 0; i < PCV_LEN(wrong); i++) {
        archive a = {0};

        archive_add(&a, &(archive_entry){ .name = "a.npy",
                    .data = packed.data, .n = packed.len, .method = 8,
                    .size = wrong[i],
                    .crc = archive_crc(b.data, b.len) });
        npz_end(&a, "x");
        check_refused("x", "x: ZIP archive: entry \"a.npy\"");
    }
    pcv_buf_free(&packed);
    pcv_buf_free(&b);
}

/* ---- shards ---------------------------------------------------------- */

static void make_shards(void)
{
    const pcv_tensor_out one[] = {
        {"s.w", PCV_U8, 1, {3}, "abc"}, {"s.b", PCV_U8, 1, {2}, "de"},
    };
    pcv_buf p = good_pickle();

    assert_int_equal(pcv_tensors_save("one.st", one, 2, NULL, NULL, 0), 0);
    archive_torch("two.bin", &p, 24);
    pcv_buf_free(&p);
}

#define INDEX(map) "{\"metadata\":{\"total_size\":29},\"weight_map\":" map "}"

static void test_shards(void **state)
{
    char dir[4096];
    pcv_tensors t;

    (void)state;
    make_shards();
    scratch_puts("x", " \n" INDEX("{\"a\":\"two.bin\",\"s.w\":\"one.st\","
                                  "\"s.b\":\"one.st\"}"));
    open_good(&t, "x");
    assert_int_equal(t.count, 3);
    assert_memory_equal(pcv_tensors_find(&t, "s.w")->data, "abc", 3);
    assert_memory_equal(pcv_tensors_find(&t, "s.b")->data, "de", 2);
    assert_true(pcv_tensors_find(&t, "s.b")->offset ==
                pcv_tensors_find(&t, "s.w")->offset + 3);
    find(&t, "a", PCV_F32, 24);
    pcv_tensors_close(&t);
    assert_non_null(getcwd(dir, sizeof dir - 2));
    open_good(&t, strcat(dir, "/x"));
    pcv_tensors_close(&t);
    check_memory("x");
}

static const struct {
    const char *index, *message;
} indexes[] = {
    {"{}", "x: JSON without weight_map, an object with tensors: not an index"},
    {"{", "x: not JSON: "},
    {"{\"weight_map\":[]}", "JSON without weight_map, an object"},
    {"{\"weight_map\":{}}", "JSON without weight_map, an object"},
    {INDEX("{\"a\":1}"), "x: tensor \"a\" is in a file whose name is not"},
    {INDEX("{\"a\":\"\"}"), "name is not plain, want one beside the index"},
    {INDEX("{\"a\":\"..\"}"), "tensor \"a\" is in a file whose name is not"},
    {INDEX("{\"a\":\".\"}"), "tensor \"a\" is in a file whose name is not"},
    {INDEX("{\"a\":\"/etc/passwd\"}"), "file whose name is not plain"},
    {INDEX("{\"a\":\"../two.bin\"}"), "file whose name is not plain"},
    {INDEX("{\"a\":\"d/two.bin\"}"), "file whose name is not plain"},
    {INDEX("{\"a\":\"x\"}"), "x: the header has"},
    {INDEX("{\"a\":\"two.bin\",\"a\":\"two.bin\"}"), "duplicate object key"},
    {INDEX("{\"a\":\"two.bin\",\"b\":\"two.bin\"}"),
     "x: tensor \"b\" is not in \"two.bin\", where the index has it"},
    {INDEX("{\"s.w\":\"one.st\"}"),
     "x: tensor \"s.b\" is not in the index but in \"one.st\""},
    {INDEX("{\"s.w\":\"one.st\",\"s.b\":\"two.bin\"}"),
     "x: tensor \"s.b\" is in another file than the index says, in "
     "\"one.st\""},
    {INDEX("{\"s.w\":\"one.st\",\"s.b\":\"one.st\",\"a\":\"bad\"}"),
     "bad: 3 bytes, want at least 8"},
};

static void test_shards_refused(void **state)
{
    pcv_tensors t;

    (void)state;
    make_shards();
    scratch_puts("bad", "bad");
    for (size_t i = 0; i < PCV_LEN(indexes); i++) {
        scratch_puts("x", indexes[i].index);
        check_refused("x", indexes[i].message);
    }
    scratch_puts("x", INDEX("{\"a\":\"none.bin\"}"));
    assert_int_equal(pcv_tensors_open(&t, "x"), -1);
    assert_failed(EX_NOINPUT, "none.bin: No such file");
}

/* ---- what a pickle asks for ------------------------------------------ */

static const struct {
    const char *text;
    size_t n;
    const char *want;           /* offset what name verdict count, .. */
} scans[] = {
    {BYTES("\x80\2}."), ""},
    {BYTES("\x80\2ccollections\nOrderedDict\n)Rccollections\nOrderedDict\n."),
     "2 global collections.OrderedDict + 2; "},
    {BYTES("\x80\2cos\nsystem\nctorch\nSize\ncos\nsystem\ncposix\nsystem\n."),
     "2 global os.system - 2; 13 global torch.Size + 1; "
     "36 global posix.system - 1; "},
    {BYTES("\x80\2(S'id'\nios\nsystem\n."),
     "3 opcode STRING - 1; 9 opcode INST - 1; 9 global os.system - 1; "},
    {BYTES("\x80\4\x95\0\0\0\0\0\0\0\0\x8c\2os\x94\x8c\6system\x94\x93N."),
     "0 form another protocol than 2 - 1; 2 opcode FRAME - 1; "
     "11 opcode SHORT_BINUNICODE - 2; 15 opcode MEMOIZE - 2; "
     "25 opcode STACK_GLOBAL - 1; 25 global os.system - 1; "},
    {BYTES("\x80\2X\2\0\0\0osq\7U\4evalq\5Nh\7h\5\x93."),
     "24 opcode STACK_GLOBAL - 1; 24 global os.eval - 1; "},
    {BYTES("\x80\2V os\np10\nN\x8d\1\0\0\0\0\0\0\0xg10\n2\x93."),
     "2 opcode UNICODE - 1; 7 opcode PUT - 1; 12 opcode BINUNICODE8 - 1; "
     "22 opcode GET - 1; 26 opcode DUP - 1; 27 opcode STACK_GLOBAL - 1; "
     "27 global  os. os - 1; "},
    {BYTES("\x80\2N\x93" "h\1h\2\x93."),
     "3 opcode STACK_GLOBAL - 2; 3 global ?.? - 2; "},
    {BYTES("\x80\2\x93o\x81\x92\x82\1\x83\1\1\x84\1\1\1\1."),
     "2 opcode STACK_GLOBAL - 1; 2 global ?.? - 1; 3 opcode OBJ - 1; "
     "4 opcode NEWOBJ - 1; 5 opcode NEWOBJ_EX - 1; 6 opcode EXT1 - 1; "
     "8 opcode EXT2 - 1; 11 opcode EXT4 - 1; "},
    {BYTES("\x80\2.\x80\2cos\nsystem\n."), "5 global os.system - 1; "},
    {BYTES("\x80\2.N."), "3 form bytes after STOP - 1; "},
    {BYTES("\x80\2N"), "3 form no STOP - 1; "},
    {BYTES("\x80\2cos\nsystem\n\xffN."),
     "2 global os.system - 1; 13 form a byte that is no opcode - 1; "},
    {BYTES("\x80\2cos\nsys"), "2 form an instruction that is cut off - 1; "},
    {BYTES("\x80\2\x8a\11\1\1\1\1\1\1\1\1\1."),
     "2 form an integer of more than 8 bytes - 1; "},
    {BYTES("\x80\2ca\0b\n\033\t\n."), "2 global a\\000b.\\033\\t - 1; "},
    {BYTES("\x80\2c\n\n."), "2 global . - 1; "},
};

static void list_asks(const char *file, pcv_buf *out)
{
    pcv_requests a;

    pcv_buf_clear(out);
    if (pcv_requests_read(&a, file) < 0)
        fail_msg("%s", pcv_error());
    for (size_t i = 0; i < a.count; i++)
        pcv_buf_printf(out, "%zu %s %s %c %zu; ", a.ask[i].offset,
                       a.ask[i].what, a.ask[i].name,
                       a.ask[i].allowed ? '+' : '-', a.ask[i].count);
    pcv_requests_free(&a);
}

static void test_scan(void **state)
{
    static const char bare[] = "0 form a pickle without an archive - 1; ";
    pcv_buf seen = {0};

    (void)state;
    for (size_t i = 0; i < PCV_LEN(scans); i++) {
        const pcv_buf p = { .data = (char *)(uintptr_t)scans[i].text,
                            .len = scans[i].n };

        archive_torch("x", &p, 0);
        list_asks("x", &seen);
        assert_string_equal(seen.len ? seen.data : "", scans[i].want);
        scratch_put("x", p.data, p.len);
        if (strstr(scans[i].want, "form") || seen.len == 0)
            continue;
        list_asks("x", &seen);
        assert_memory_equal(seen.data, bare, strlen(bare));
        assert_string_equal(seen.data + strlen(bare), scans[i].want);
    }
    pcv_buf_free(&seen);
}

static void test_scan_refused(void **state)
{
    pcv_buf p = {0}, many = {0};
    pcv_requests a;
    long k = 1;

    (void)state;
    make_npz("x");
    assert_int_equal(pcv_requests_read(&a, "x"), -1);
    assert_failed(EX_DATAERR, "x: a ZIP archive without one data.pkl");
    scratch_puts("x", "text");
    assert_int_equal(pcv_requests_read(&a, "x"), -1);
    assert_failed(EX_DATAERR, "x: no pickle in it");
    repeat(&many, "ca\nb\n", 1000001);
    archive_torch("x", &many, 0);
    assert_int_equal(pcv_requests_read(&a, "x"), -1);
    assert_failed(EX_DATAERR, "asks for more than 1000000 things");
    pcv_buf_free(&many);
    make_checkpoint(&p, "model");
    archive_torch("x", &p, 24);
    for (; k < 100; k++) {
        int status;

        pcv_alloc_fail_at(k);
        status = pcv_requests_read(&a, "x");
        pcv_alloc_fail_at(0);
        pcv_requests_free(&a);
        if (status == 0)
            break;
        assert_failed(EX_OSERR, "out of memory");
    }
    assert_true(k > 5 && k < 100);
    pcv_buf_free(&p);
}

/* ---- conversion ------------------------------------------------------ */

/* Through the bits of the result: half a unit in the last place, ties to
 * even, infinity, subnormals. */
static const struct {
    double x;
    uint16_t f16, bf16;
} narrow[] = {
    {0, 0, 0}, {-0.0, 0x8000, 0x8000}, {1, 0x3c00, 0x3f80},
    {-2, 0xc000, 0xc000}, {0x1p-14, 0x0400, 0x3880}, {65504, 0x7bff, 0x4780},
    {65519.99, 0x7bff, 0x4780}, {65520, 0x7c00, 0x4780},
    {1e300, 0x7c00, 0x7f80}, {-1e300, 0xfc00, 0xff80},
    {1 + 0x1p-11, 0x3c00, 0x3f80}, {1 + 0x1p-11 + 0x1p-40, 0x3c01, 0x3f80},
    {1 + 0x3p-11, 0x3c02, 0x3f80}, {1 + 0x1p-8, 0x3c04, 0x3f80},
    {1 + 0x1p-8 + 0x1p-40, 0x3c04, 0x3f81}, {1 + 0x3p-8, 0x3c0c, 0x3f82},
    {2 - 0x1p-12, 0x4000, 0x4000}, {0x1p-24, 0x0001, 0x3380},
    {0x1p-25, 0x0000, 0x3300}, {0x1.8p-25, 0x0001, 0x3340},
    {0x3p-25, 0x0002, 0x33c0}, {0x1p-14 - 0x1p-26, 0x0400, 0x3880},
    {0x1p-133, 0, 0x0001}, {0x1p-134, 0, 0}, {0x1.8p-134, 0, 0x0001},
    {0x1p-126, 0, 0x0080}, {0x1p-126 - 0x1p-135, 0, 0x0080},
    {0x1.fep127, 0x7c00, 0x7f7f}, {0x1.ffp127, 0x7c00, 0x7f80},
    {5e-324, 0, 0},
};

static void test_narrow(void **state)
{
    static const pcv_dtype half[] = { PCV_F16, PCV_BF16 };

    (void)state;
    for (size_t i = 0; i < PCV_LEN(narrow); i++) {
        uint16_t out[2];

        for (int k = 0; k < 2; k++)
            pcv_dtype_from_double(half[k], &narrow[i].x, 1, &out[k]);
        if (out[0] != narrow[i].f16 || out[1] != narrow[i].bf16)
            fail_msg("%a: %04x %04x", narrow[i].x, out[0], out[1]);
    }
    for (uint32_t bits = 0; bits < 65536; bits++)   /* there and back */
        for (int k = 0; k < 2; k++) {
            uint16_t in = (uint16_t)bits, out;
            double x;

            pcv_dtype_to_double(half[k], &in, 1, &x);
            pcv_dtype_from_double(half[k], &x, 1, &out);
            if (x < 0 || x >= 0)
                assert_int_equal(in, out);
            else
                assert_int_equal(out, (in & 0x8000) | (k ? 0x7fc0 : 0x7e00));
        }
}

static void test_convert(void **state)
{
    static const pcv_dtype to[] = { PCV_F32, PCV_F16, PCV_BF16 };
    pcv_tensors t, u;
    pcv_buf p = {0};

    (void)state;
    make_npz("x");
    open_good(&t, "x");
    assert_int_equal(pcv_tensors_convert("y", &t, NULL), 0);
    open_good(&u, "y");
    assert_int_equal(u.count, t.count);
    assert_string_equal(pcv_tensors_meta(&u, "format"), "pt");
    for (size_t i = 0; i < t.count; i++) {
        const pcv_tensor *a = &t.tensor[i];
        const pcv_tensor *b = pcv_tensors_find(&u, a->name);

        assert_int_equal(b->dtype, a->dtype);
        assert_int_equal(b->bytes, a->bytes);
        assert_int_equal(b->rank, a->rank);
        assert_memory_equal(b->data, a->data, a->bytes);
    }
    for (size_t i = 0; i < PCV_LEN(to); i++) {
        pcv_tensors v;

        assert_int_equal(pcv_tensors_convert("z", &u, &to[i]), 0);
        open_good(&v, "z");
        assert_int_equal(v.keys, 1);
        assert_int_equal(pcv_tensors_find(&v, "packed")->dtype, to[i]);
        assert_int_equal(pcv_tensors_find(&v, "layers/f")->dtype, PCV_I16);
        pcv_tensors_close(&v);
    }
    assert_int_equal(pcv_tensors_convert("/dev/full", &u, NULL), -1);
    assert_failed(EX_IOERR, "/dev/full: No space left on device");
    assert_int_equal(pcv_tensors_convert("y", &u, NULL), 0);   /* over itself */
    pcv_tensors_close(&t);
    pcv_tensors_close(&u);
    pcv_buf_free(&p);
}

/* ---- directories ----------------------------------------------------- */

static void test_directory(void **state)
{
    static const char *const name[] = {
        "m/model.npz", "m/pytorch_model.bin.index.json", "m/pytorch_model.bin",
        "m/model.safetensors.index.json", "m/model.safetensors",
    };
    char *file;

    (void)state;
    mkdir("m", 0777);
    assert_null(pcv_tensors_file("m"));
    assert_failed(EX_NOINPUT, "m: no weights, none of model.safetensors, "
                  "model.safetensors.index.json, pytorch_model.bin, "
                  "pytorch_model.bin.index.json, model.npz");
    for (size_t i = 0; i < PCV_LEN(name); i++) {
        scratch_puts(name[i], "");
        file = pcv_tensors_file("m");
        assert_string_equal(file, name[i]);
        pcv_free(file);
    }
}

/* ---- files of PyTorch ------------------------------------------------ */

static void compare(const char *dir)
{
    char path[4096];
    pcv_tensors a, b;

    snprintf(path, sizeof path, "%s/pytorch_model.bin", dir);
    open_good(&a, path);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    open_good(&b, path);
    assert_int_equal(a.count, b.count);
    for (size_t i = 0; i < a.count; i++) {
        const pcv_tensor *x = &a.tensor[i];
        const pcv_tensor *y = pcv_tensors_find(&b, x->name);

        assert_non_null(y);
        assert_int_equal(x->dtype, y->dtype);
        assert_int_equal(x->rank, y->rank);
        assert_memory_equal(x->dim, y->dim, sizeof x->dim);
        assert_memory_equal(x->data, y->data, x->bytes);
    }
    pcv_tensors_close(&a);
    pcv_tensors_close(&b);
}

static const char *golden(const char *name)
{
    static char path[4096];
    const char *shared = getenv("PCV_SHARED");

    snprintf(path, sizeof path, "%s/golden/%s", shared ? shared : "../shared",
             name);
    return access(path, R_OK) == 0 ? path : NULL;
}

static void test_golden(void **state)
{
    static const char *const name[] = {
        "vision-fourier", "vision-conv", "language-mlm",
    };

    (void)state;
    if (!golden(name[0])) {
        print_message("no ../shared/golden; PCV_SHARED names another place\n");
        skip();
    }
    for (size_t i = 0; i < PCV_LEN(name); i++)
        compare(golden(name[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_types),
        TEST(test_views),
        TEST(test_checkpoints),
        TEST(test_pickles),
        TEST(test_opcodes),
        TEST(test_globals),
        TEST(test_lies),
        TEST(test_names),
        TEST(test_bombs),
        TEST(test_entries),
        TEST(test_damage),
        TEST(test_truncated),
        TEST(test_strangers),
        TEST(test_memory),
        TEST(test_npz),
        TEST(test_npz_refused),
        TEST(test_npz_deflated),
        TEST(test_shards),
        TEST(test_shards_refused),
        TEST(test_scan),
        TEST(test_scan_refused),
        TEST(test_narrow),
        TEST(test_convert),
        TEST(test_directory),
        cmocka_unit_test_setup(test_golden, scratch_none),
    };

    return cmocka_run_group_tests_name("torch", tests, NULL, NULL);
}
