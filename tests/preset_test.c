/* preset_test.c - every preset is made of settings that there are, builds, and
 * can be overridden from both sides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "../lib/pcv.h"
#include "../lib/train/train.h"

/* What the data would say. */
static void set_outputs(pcv_spec *s)
{
    if (s->task == PCV_FILL) {
        s->outputs = s->vocab;
        s->queries = s->prep.length;
    } else {
        s->outputs = 3;
        s->prep.channels = s->prep.modality == PCV_ONE_HOT ? 3
                                                           : s->prep.channels;
    }
}

static void test_builds(void **state)
{
    const pcv_preset *p;
    int i;

    (void)state;
    for (i = 0; (p = pcv_preset_row(i)); i++) {
        pcv_run_spec run;
        pcv_spec spec;
        pcv_net net;

        pcv_run_default(&run);
        pcv_spec_default(&spec);
        for (int k = 0; p->setting[k].name; k++) {
            const char *name = p->setting[k].name, *v = p->setting[k].value;
            int r = pcv_spec_set(&spec, name, v);

            if (r < 0) {
                pcv_error_clear();
                r = pcv_run_set(&run, name, v);
            }
            if (r < 0)
                fail_msg("%s: %s=%s: %s", p->name, name, v, pcv_error());
        }
        set_outputs(spec.parts ? &spec.part[0] : &spec);
        if (pcv_augment_check(&run, &spec) < 0 ||
            pcv_net_build(&net, &spec) < 0)
            fail_msg("%s: %s", p->name, pcv_error());
        assert_true(net.params.total < 2000000);
        pcv_net_free(&net);
        pcv_spec_free(&spec);
    }
    assert_in_range(i, 8, 100);
}

static void want(const pcv_trainer *t, const char *name, const char *value)
{
    char *have = pcv_trainer_get(t, name);

    assert_string_equal(have, value);
    free(have);
}

/* Settings that are given win, before the preset and behind it; another preset
 * leaves nothing of the first. */
static void test_overrides(void **state)
{
    pcv_trainer *t = pcv_trainer_new();

    (void)state;
    assert_non_null(t);
    assert_int_equal(pcv_trainer_set(t, "latents", "7"), 0);
    assert_int_equal(pcv_trainer_set(t, "epochs", "3"), 0);
    assert_int_equal(pcv_trainer_set(t, "preset", "mel"), 0);
    assert_int_equal(pcv_trainer_set(t, "bands", "5"), 0);
    want(t, "latents", "7");
    want(t, "epochs", "3");
    want(t, "bands", "5");
    want(t, "mels", "40");
    assert_int_equal(pcv_trainer_set(t, "preset", "points"), 0);
    want(t, "latents", "7");
    want(t, "bands", "5");
    want(t, "mels", "0");
    want(t, "modality", "points");
    want(t, "preset", "points");
    assert_int_equal(pcv_trainer_set(t, "preset", "nothing"), -1);
    assert_non_null(strstr(pcv_error(), "preset: 'nothing', want one of "));
    pcv_error_clear();
    pcv_trainer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builds),
        cmocka_unit_test(test_overrides),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
