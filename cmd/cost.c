/* cost.c - what a pass costs, one line for each part of the network. */
#include "json.h"
#include "look.h"

void cost_head(const look_options *o, pcv_bytes *b)
{
    pcv_bytes_printf(b, "%spart\tform\tplain\trun\tbytes\n",
                     o->column ? "file\t" : "");
}

static void line(const look_subject *s, const look_options *o, const char *name,
                 const char *form, const double v[3], pcv_bytes *b)
{
    if (o->column) {
        pcv_bytes_escape(b, s->name);
        pcv_bytes_printf(b, "\t");
    }
    pcv_bytes_printf(b, "%s\t%s\t%.0f\t%.0f\t%.0f\n", name, form, v[0], v[1],
                     v[2]);
}

int cost_text(const look_subject *s, const look_options *o, pcv_bytes *b)
{
    pcv_cost_info c;

    if (pcv_model_cost(s->model, o->size, &c) < 0)
        return -1;
    for (size_t i = 0; i < c.parts; i++)
        line(s, o, c.part[i].name, c.part[i].form,
             (double[]){ c.part[i].plain, c.part[i].run, c.part[i].bytes }, b);
    line(s, o, "total", "-", (double[]){ c.plain, c.run, c.memory }, b);
    return 0;
}

static void parts_json(const pcv_cost_info *c, pcv_bytes *b)
{
    json_open(b, "parts", '[');
    for (size_t i = 0; i < c->parts; i++) {
        json_open(b, NULL, '{');
        json_text(b, "part", c->part[i].name);
        json_text(b, "form", c->part[i].form);
        json_number(b, "plain", c->part[i].plain);
        json_number(b, "run", c->part[i].run);
        json_number(b, "bytes", c->part[i].bytes);
        json_close(b, '}');
    }
    json_close(b, ']');
}

int cost_json(const look_subject *s, const look_options *o, pcv_bytes *b)
{
    pcv_cost_info c;

    if (pcv_model_cost(s->model, o->size, &c) < 0)
        return -1;
    json_open(b, "cost", '{');
    if (o->size)
        json_text(b, "size", o->size);
    json_number(b, "parameters", c.parameters);
    json_number(b, "elements", c.elements);
    json_number(b, "channels", c.channels);
    json_number(b, "plain", c.plain);
    json_number(b, "run", c.run);
    json_number(b, "memory", c.memory);
    parts_json(&c, b);
    json_close(b, '}');
    return 0;
}
