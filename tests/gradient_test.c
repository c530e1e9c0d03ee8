/* gradient_test.c - the comparison of gradients with differences of the loss:
 * it agrees with a gradient that is right, and sees one that is not. */
#include "help.h"

#include "train/train.h"

#include <math.h>

enum { TENSORS = 3, SIDE = 5 };

/* L = 3 + sum of w^2 / 10 + sin(w) / 5, of the last tensor nothing. */
typedef struct {
    pcv_params p;
    double worst[TENSORS];
    bool small[TENSORS];
    int told;
} subject;

static double loss(void *arg)
{
    const subject *s = arg;
    double sum = 3;

    for (int t = 0; t < TENSORS - 1; t++)
        for (size_t i = 0; i < s->p.param[t]->count; i++) {
            double w = (double)s->p.param[t]->w[i];

            sum += w * w / 10 + sin(w) / 5;
        }
    return sum;
}

static void tell(void *arg, const pcv_gradient_row *row)
{
    subject *s = arg;

    s->worst[s->told] = row->error;
    s->small[s->told++] = row->small;
}

static void open_subject(subject *s)
{
    static const char *const name[] = { "a", "b", "unused" };

    *s = (subject){0};
    for (int t = 0; t < TENSORS; t++)
        pcv_param_add(&s->p, name[t], "w", SIDE, SIDE, 0, 1, true);
    assert_int_equal(pcv_params_weights(&s->p), 0);
    assert_int_equal(pcv_params_grads(&s->p), 0);
    pcv_params_init(&s->p, 1);
    for (int t = 0; t < TENSORS - 1; t++)
        for (size_t i = 0; i < s->p.param[t]->count; i++) {
            double w = (double)s->p.param[t]->w[i];

            s->p.param[t]->g[i] = (real)(w / 5 + cos(w) / 5);
        }
}

static int check(subject *s)
{
    pcv_gradient_how how = { loss, s, tell, s, 7 };

    s->told = 0;
    return pcv_gradient_check(&s->p, &how);
}

static void test_right(void **state)
{
    subject s;
    real before;

    (void)state;
    open_subject(&s);
    before = s.p.param[1]->w[3];
    assert_int_equal(check(&s), 0);
    assert_int_equal(s.told, TENSORS);
    assert_true(s.worst[0] < pcv_gradient_bound() / 5);
    assert_true(s.worst[1] < pcv_gradient_bound() / 5);
    assert_false(s.small[0]);
    assert_true(s.small[2] && s.worst[2] == 0);
    assert_true(s.p.param[1]->w[3] == before);  /* the weights are as before */
    pcv_params_free(&s.p);
}

/* All of it too large, one element of it, the sign of one, the largest. */
static void test_wrong(void **state)
{
    static const double factor[] = { 1.03, 1.3, -1, 0 };

    (void)state;
    for (int k = 0; k < 4; k++) {
        subject s;
        pcv_param *p;
        size_t big = 0;

        open_subject(&s);
        p = s.p.param[1];
        for (size_t i = 1; i < p->count; i++)
            big = fabs((double)p->g[i]) > fabs((double)p->g[big]) ? i : big;
        for (size_t i = 0; i < p->count; i++)
            if (k == 0 || i == (k == 3 ? big : 3))
                p->g[i] = (real)((double)p->g[i] * factor[k]);
        assert_int_equal(check(&s), 1);
        assert_true(s.worst[0] < pcv_gradient_bound());
        assert_true(s.worst[1] > pcv_gradient_bound());
        pcv_params_free(&s.p);
    }
}

/* A tensor that nothing depends on, with a gradient all the same. */
static void test_invented(void **state)
{
    subject s;

    (void)state;
    open_subject(&s);
    s.p.param[2]->g[0] = (real)0.1;
    assert_int_equal(check(&s), 1);
    pcv_params_free(&s.p);
}

static void test_not_a_number(void **state)
{
    subject s;

    (void)state;
    open_subject(&s);
    s.p.param[0]->g[4] = (real)NAN;
    assert_int_equal(check(&s), 1);
    pcv_params_free(&s.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_invented),
        cmocka_unit_test(test_not_a_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
