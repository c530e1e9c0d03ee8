/* events.c - what is told of a run: the figures of an event, and the same as a
 * line of JSON for log.jsonl. */
#include "run.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

double pcv_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double examples_per_second(const pcv_running *r)
{
    double t = pcv_seconds() - r->started;

    return t > 0 ? (double)(r->state.step - r->started_at) *
                       (double)r->batch / t : 0;
}

static void add_number(pcv_buf *b, const char *key, double v)
{
    pcv_buf_printf(b, ",\"%s\":", key);
    pcv_json_number(b, v);
}

/* Scores of every answer, where there are several. */
static void add_scores(const pcv_running *r, pcv_buf *b)
{
    pcv_buf_puts(b, ",\"answers\":{");
    for (int i = 0; i < r->net.answers; i++) {
        const char *name = pcv_spec_answer_name(&r->net.spec, i);

        pcv_buf_puts(b, i ? ",\"" : "\"");
        pcv_buf_json(b, name, strlen(name));
        pcv_buf_puts(b, "\":{\"loss\":");
        pcv_json_number(b, r->score[i].loss);
        add_number(b, "accuracy", r->score[i].accuracy);
        pcv_buf_puts(b, "}");
    }
    pcv_buf_puts(b, "}");
}

static void event_json(const pcv_running *r, const pcv_event *e, pcv_buf *b)
{
    pcv_buf_printf(b, "{\"ev\":\"%s\",\"step\":%" PRIu64 ",\"epoch\":",
                   e->event, e->step);
    pcv_json_number(b, e->epoch);
    if (!strcmp(e->event, "start")) {
        pcv_buf_printf(b, ",\"steps\":%" PRIu64 ",\"seed\":%d,\"params\":%zu,"
                       "\"train\":%" PRIu32 ",\"val\":%" PRIu32
                       ",\"threads\":%d,\"blas\":\"", e->steps,
                       r->t->run.seed, r->net.params.total,
                       r->splits.train.count, r->splits.val.count,
                       pcv_threads());
        pcv_buf_json(b, pcv_blas_name(), strlen(pcv_blas_name()));
        pcv_buf_puts(b, "\"");
    } else if (!strcmp(e->event, "step") || !strcmp(e->event, "eval") ||
               !strcmp(e->event, "latents")) {
        add_number(b, "loss", e->loss);
        add_number(b, "accuracy", e->accuracy);
    }
    if (!strcmp(e->event, "eval") && r->net.answers > 1)
        add_scores(r, b);
    if (!strcmp(e->event, "step")) {
        add_number(b, "lr", e->rate);
        add_number(b, "gnorm", e->norm);
        add_number(b, "items_per_s", e->items_per_second);
    }
    if (e->text) {
        pcv_buf_printf(b, ",\"%s\":\"", !strcmp(e->event, "start") ? "fresh"
                       : !strcmp(e->event, "latents") ? "latents" : "why");
        pcv_buf_json(b, e->text, strlen(e->text));
        pcv_buf_puts(b, "\"");
    }
    pcv_buf_puts(b, "}");
}

int pcv_run_tell(pcv_running *r, const char *event, double loss,
                 double accuracy, const char *text)
{
    double speed = examples_per_second(r);
    pcv_event e = { .event = event, .step = r->state.step, .steps = r->steps,
                    .epoch = (double)r->state.step / (double)r->per_epoch,
                    .loss = loss, .accuracy = accuracy, .rate = r->rate,
                    .norm = r->norm, .items_per_second = speed, .text = text };
    pcv_buf json = {0};
    int answer;

    e.seconds_left = speed > 0 ? (double)(r->steps - r->state.step) *
                                     (double)r->batch / speed : (double)NAN;
    event_json(r, &e, &json);
    e.json = json.data ? json.data : "";
    answer = r->t->watch ? r->t->watch(r->t->arg, &e) : PCV_WATCH_GO_ON;
    pcv_buf_free(&json);
    return answer;
}
