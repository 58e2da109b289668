#define _POSIX_C_SOURCE 200809L
#include "tests/bench/chart.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const our_colour = "#1f6fb2", *const peer_colour = "#d9822b", *const grey = "#8a8a8a";

/* Starts gnuplot. Returns NULL if it is not installed, with one message for all charts. */
static FILE *open_gnuplot(const char *path, int width, int height)
{
    static bool said;
    if (system("command -v gnuplot >/dev/null 2>&1") != 0) {
        if (!said)
            fprintf(stderr, "bench: no charts: gnuplot is not installed (make deps)\n");
        said = true;
        return NULL;
    }
    FILE *gnuplot = popen("gnuplot", "w");
    if (gnuplot)
        fprintf(gnuplot,
                "set terminal svg size %d,%d font 'sans-serif,13' background '#ffffff'\nset output '%s'\n"
                "set border 3 linecolor '%s'\nset tics nomirror textcolor '#333333'\nset grid linecolor '#e3e3e3'\n",
                width, height, path, grey);
    return gnuplot;
}

static Status close_gnuplot(FILE *gnuplot, const char *path)
{
    return pclose(gnuplot) == 0 ? CS336_OK : status_fail(CS336_EIO, "%s: gnuplot failed", path);
}

/* ---- curves ---- */

void chart_add(ChartCurve *curve, double x, double ours, double peer)
{
    if (curve->count == CHART_POINTS || !isfinite(ours))
        return;
    curve->points[curve->count].x = x;
    curve->points[curve->count].ours = ours;
    curve->points[curve->count++].peer = peer;
}

static bool has_line(const ChartCurve *curve)
{
    return curve->count > 1;
}

static bool has_peer(const ChartCurve *curve)
{
    for (size_t i = 0; i < curve->count; i++)
        if (isfinite(curve->points[i].peer))
            return true;
    return false;
}

static void draw_curve(FILE *gnuplot, const ChartCurve *curve)
{
    fprintf(gnuplot, "$data << EOD\n");
    for (size_t i = 0; i < curve->count; i++)
        fprintf(gnuplot, "%g %g %g\n", curve->points[i].x, curve->points[i].ours, curve->points[i].peer);
    const double first = curve->points[0].x, last = curve->points[curve->count - 1].x;
    fprintf(gnuplot, "EOD\nset xlabel '%s'\nset ylabel '%s'\nset logscale x 2\nset xrange [%g:%g]\n%s\nset xtics (",
            curve->x, curve->y, first * 0.8, last * 1.25,
            curve->log_y ? "set logscale y 10\nset yrange [*:*]" : "unset logscale y\nset yrange [0:*]");
    for (size_t i = 0; i < curve->count; i++)
        fprintf(gnuplot, "%s%g", i ? ", " : "", curve->points[i].x);
    fprintf(gnuplot, ")\nplot $data using 1:2 title 'ours' with linespoints pt 7 ps 0.6 lw 2 lc rgb '%s'", our_colour);
    if (has_peer(curve))
        fprintf(gnuplot, ", '' using 1:3 title '%s' with linespoints pt 5 ps 0.6 lw 2 lc rgb '%s'",
                curve->peer ? curve->peer : "PyTorch", peer_colour);
    fputc('\n', gnuplot);
}

Status chart_curves(const char *path, const char *title, const ChartCurve *const *curves, size_t count)
{
    int charts = 0;
    for (size_t i = 0; i < count; i++)
        charts += has_line(curves[i]);
    const int columns = charts < 2 ? 1 : 2, rows = (charts + columns - 1) / columns;
    FILE *gnuplot = charts > 0 ? open_gnuplot(path, 480 * columns, 60 + 340 * rows) : NULL;
    if (!gnuplot)
        return CS336_OK;
    fprintf(gnuplot, "set key bottom right\nset multiplot layout %d,%d title \"%s\"\n", rows, columns, title);
    for (size_t i = 0; i < count; i++)
        if (has_line(curves[i]))
            draw_curve(gnuplot, curves[i]);
    fprintf(gnuplot, "unset multiplot\n");
    return close_gnuplot(gnuplot, path);
}

/* ---- bars ---- */

Status chart_bars(const char *path, const ChartBar *bars, size_t count)
{
    FILE *gnuplot = count > 0 ? open_gnuplot(path, 900, 110 + 22 * (int)count) : NULL;
    if (!gnuplot)
        return CS336_OK;
    double least = 0.5, most = 2;
    fprintf(gnuplot, "$data << EOD\n");
    for (size_t i = 0; i < count; i++) {
        fprintf(gnuplot, "%zu %g \"%s\" \"%.2f  %s\"\n", i, bars[i].ratio, bars[i].name, bars[i].ratio, bars[i].peer);
        least = fmin(least, bars[i].ratio);
        most = fmax(most, bars[i].ratio);
    }
    fprintf(gnuplot,
            "EOD\nset logscale x 2\nset xrange [%g:%g]\nset yrange [%zu.5:-0.5]\nunset key\nset ytics out scale 0\n"
            "set xtics (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64)\nset grid noytics\nset title 'times better than the peer'\n"
            "set arrow from 1,graph 0 to 1,graph 1 nohead linecolor '%s' front\n"
            "plot $data using 2:1:(1):2:($1-0.35):($1+0.35):($2 < 1 ? 0x%s : 0x%s):ytic(3) with boxxyerror "
            "fillstyle solid noborder linecolor rgb variable, "
            "'' using ($2 < 1 ? 1 : $2):1:4 with labels left offset 0.6,0 textcolor '#333333' font ',11'\n",
            least * 0.9, most * 2.5, count - 1, grey, peer_colour + 1, our_colour + 1);
    return close_gnuplot(gnuplot, path);
}
