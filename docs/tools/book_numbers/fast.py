"""Chapter 8: fast."""
import math
import pathlib
import re
import struct

from .common import BLUE, GREEN, GREY, GRID, ORANGE, PURPLE, svg

TOP = pathlib.Path(__file__).resolve().parents[3]
LIBRARY = TOP / "cs336_basics"
CHAPTER = (TOP / "docs/book/fast.md").read_text(encoding="utf-8")


# ---- what the machine of the chapter's outputs can do, one core, as `make bench` printed it there ----

def bench_row(name):
    """A row that the chapter shows: ours, the peer's value or None, and the share of the limit."""
    numbers = re.search("^" + re.escape(name) + r" +(\S+) \S+ +(\S+) .* (\d+)%", CHAPTER, re.M)
    ours, peer, share = numbers.groups()
    return float(ours), None if peer == "-" else float(peer), float(share) / 100


MATVEC, _, MATVEC_SHARE = bench_row("matvec float32 NT 4096x4096 1 thread")
MATMUL, _, MATMUL_SHARE = bench_row("matmul float32 NT 1024x1024x1024 1 thread")
LOOPS, NAIVE_LOOPS, _ = bench_row("ladder matmul 1024x1024x1024 rows i-k-j")
GIGABYTES_PER_SECOND = MATVEC / MATVEC_SHARE
GIGAFLOPS = MATMUL / MATMUL_SHARE

FLOAT = 4  # bytes


def operations_per_byte():
    """Rows (work, operations, bytes if each number is read or written once)."""
    n, m, (rows, d_model, d_ff) = 1024, 4096, (2048, 512, 1344)
    return [("y = a + b, for n numbers", 1, 3 * FLOAT),
            (f"a matrix {m} x {m} times a vector", 2 * m * m, FLOAT * (m * m + 2 * m)),
            (f"a product {n} x {n} x {n}", 2 * n ** 3, FLOAT * 3 * n * n),
            (f"w1 of the reference model, {rows} tokens", 2 * rows * d_model * d_ff,
             FLOAT * (rows * d_model + d_model * d_ff + rows * d_ff))]


def numbers_intensity():
    ridge = GIGAFLOPS / GIGABYTES_PER_SECOND
    lines = [f"{'work':<42}{'operations per byte':>20}   limit"]
    for work, operations, size in operations_per_byte():
        intensity = operations / size
        lines.append(f"{work:<42}{intensity:>20.2f}   {'memory' if intensity < ridge else 'arithmetic'}")
    return lines + [f"this core: {GIGAFLOPS:.0f} GFLOP/s / {GIGABYTES_PER_SECOND:.0f} GB/s = "
                        f"{ridge:.1f} operations per byte are the border"]


# ---- caches ----

def numbers_walk():
    n, line, page = 1024, 64, 4096
    return [f"{'1024 numbers of a 1024 x 1024 matrix':<40}{'a row':>10}{'a column':>12}",
            f"{'cache lines of 64 bytes':<40}{n * FLOAT // line:>10}{n:>12}",
            f"{'bytes that come into the cache':<40}{n * FLOAT:>10}{n * line:>12}",
            f"{'pages of 4 KiB':<40}{n * FLOAT // page:>10}{n * n * FLOAT // page:>12}"]


# ---- register tiles ----

def numbers_tile():
    lines = [f"{'register tile':<22}{'loads':>8}{'FMA':>6}{'loads per FMA':>16}{'registers for sums':>21}"]
    for rows, vectors in ((1, 1), (4, 2), (8, 2), (14, 2)):
        loads, fma = rows + vectors, rows * vectors
        lines.append(f"{f'{rows} x {16 * vectors} numbers':<22}{loads:>8}{fma:>6}{loads / fma:>16.2f}{fma:>21}")
    return lines + ["loads in one step of k: the vectors of B (16 floats each), one number of A for each row"]


def constant(file, name, after=""):
    """The value of an enumeration's constant in a source of the library."""
    text = (LIBRARY / file).read_text(encoding="utf-8")
    return int(re.search(after + r".*?\b" + name + r" = (\d+)", text, re.S).group(1))


def size_text(size):
    return f"{size / 2 ** 20:g} MiB" if size >= 2 ** 20 else f"{size / 1024:g} KiB"


def rectangle(x, y, width, height, colour, opacity=0.0):
    return (f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{colour}" fill-opacity="{opacity}" '
            f'stroke="{colour}" stroke-width="1.5"/>')


def text_at(x, y, words, colour=GREY, anchor="start", size=13):
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}" font-size="{size}">{words}</text>'


def picture(name, width, height, parts):
    return name, "\n".join([svg(width, height), *parts, "</svg>"]) + "\n"


def figure_blocks():
    depth, columns = constant("kernels/matmul.c", "BLOCK_DEPTH"), constant("kernels/matmul.c", "BLOCK_COLUMNS")
    rows = constant("kernels/matmul.c", "BLOCK_ROWS")
    tile_rows, tile_columns = constant("kernels/matmul_kernel.h", "TILE_ROWS", "VECTOR_FLOATS == 16"), 2 * 16
    out = [rectangle(160, 30, 190, 110, GREY), text_at(255, 22, "B", anchor="middle", size=15),
           rectangle(30, 155, 115, 160, GREY), text_at(18, 240, "A", anchor="middle", size=15),
           rectangle(160, 155, 190, 160, GREY), text_at(362, 240, "C", anchor="middle", size=15),
           # A block of B with one panel, a block of A with one panel, the register tile where they meet
           rectangle(160, 60, 190, 46, GREEN, 0.15), rectangle(235, 60, 22, 46, BLUE, 0.5),
           rectangle(62, 190, 46, 70, PURPLE, 0.15), rectangle(62, 215, 46, 12, ORANGE, 0.5),
           rectangle(160, 190, 190, 70, GREY, 0.08), rectangle(235, 215, 22, 12, ORANGE, 0.9),
           f'<path d="M108 221 H233 M246 106 V213" stroke="{GREY}" stroke-dasharray="4 3" fill="none"/>']
    legend = [(ORANGE, "register tile of C", f"{tile_rows} x {tile_columns}", "stays in registers"),
              (BLUE, "a panel of B", f"{depth} x {tile_columns}, {size_text(FLOAT * depth * tile_columns)}", "about as much as L1 holds"),
              (PURPLE, "a block of A", f"{rows} x {depth}, {size_text(FLOAT * rows * depth)}", "stays in L2, one for each thread"),
              (GREEN, "a block of B", f"{depth} x {columns}, {size_text(FLOAT * depth * columns)}", "stays in L3, for all threads"),
              (GREY, "A, B, C", "any size", "in memory")]
    for i, (colour, name, size, place) in enumerate(legend):
        y = 48 + 56 * i
        out += [rectangle(392, y - 11, 13, 13, colour, 0.5), text_at(413, y, f"{name}: {size}"),
                text_at(413, y + 18, place, colour)]
    # A packed panel
    out += [text_at(30, 350, "A packed panel of B in memory. The micro-kernel reads it from left to right:")]
    for i in range(5):
        x = 30 + 122 * i
        out += [rectangle(x, 362, 112, 26, BLUE, 0),
                text_at(x + 56, 380, f"k = {i}: {tile_columns} columns" if i < 4 else "...", anchor="middle", size=12)]
    return picture("fast_blocks.svg", 650, 400, out)


# ---- the roofline ----

def figure_roofline():
    left, top, width, height = 60, 36, 560, 270
    x_from, x_to, y_from, y_to = 0.05, 500, 0.1, 200
    px = lambda x: round(left + math.log(x / x_from) / math.log(x_to / x_from) * width, 1)
    py = lambda y: round(top + height - math.log(y / y_from) / math.log(y_to / y_from) * height, 1)
    out = [text_at(left, 20, "What one core can reach", size=14)]
    for x in (0.1, 1, 10, 100):
        out += [f'<path d="M{px(x)} {top} V{top + height}" stroke="{GRID}"/>',
                text_at(px(x), top + height + 18, f"{x:g}", anchor="middle")]
    for y in (0.1, 1, 10, 100):
        out += [f'<path d="M{left} {py(y)} H{left + width}" stroke="{GRID}"/>',
                text_at(left - 8, py(y) + 4, f"{y:g}", anchor="end")]
    ridge = GIGAFLOPS / GIGABYTES_PER_SECOND
    out += [f'<polyline points="{px(x_from)},{py(x_from * GIGABYTES_PER_SECOND)} {px(ridge)},{py(GIGAFLOPS)} '
            f'{px(x_to)},{py(GIGAFLOPS)}" fill="none" stroke="{BLUE}" stroke-width="2.5"/>',
            text_at(px(1.1), py(1.1 * GIGABYTES_PER_SECOND) + 22, f"memory: {GIGABYTES_PER_SECOND:.0f} GB/s", BLUE),
            text_at(px(x_to), py(GIGAFLOPS) - 8, f"arithmetic: {GIGAFLOPS:.0f} GFLOP/s", BLUE, "end"),
            text_at(left + width / 2, top + height + 40, "operations for each byte from memory", anchor="middle"),
            f'<text x="16" y="{top + height / 2}" text-anchor="middle" fill="{GREY}" '
            f'transform="rotate(-90 16 {top + height / 2})">GFLOP/s</text>']
    for x, y, label, colour in POINTS:
        out += [f'<circle cx="{px(x)}" cy="{py(y)}" r="5" fill="{colour}"/>',
                text_at(px(x) - 10, py(y) + (18 if y > GIGAFLOPS / 2 else 5), label, colour, "end")]
    return picture("fast_roofline.svg", 650, 360, out)


PRODUCT = 2 * 1024 / (3 * FLOAT)  # operations per byte of a product 1024 x 1024 x 1024
POINTS = [(0.5, MATVEC / 2, "matrix times vector", GREEN), (PRODUCT, MATMUL, "matmul()", ORANGE),
          (PRODUCT, LOOPS, "loops i-k-j", ORANGE), (PRODUCT, NAIVE_LOOPS, "loops i-j-k", ORANGE)]


# ---- attention ----

def numbers_traffic():
    d, tokens_of_block, passes = 64, constant("nn/attention_plan.h", "ATTENTION_BLOCK_TOKENS"), 8
    lines = [f"{'tokens':>8}{'textbook':>14}{'tiled':>14}{'ratio':>9}      one head of {d} numbers, no mask"]
    for n in (1024, 4096, 16384):
        ends = 2 * n * d * FLOAT  # queries and output, once
        textbook = passes * n * n * FLOAT + 2 * ends
        tiled = ends + 2 * n * d * FLOAT * -(-n // tokens_of_block)
        lines.append(f"{n:>8}{textbook / 1e6:>11.1f} MB{tiled / 1e6:>11.1f} MB{textbook / tiled:>9.1f}")
    return lines + [f"textbook: {passes} passes x {FLOAT} bytes = {passes * FLOAT} bytes for each score",
                    f"tiled: a key and a value, {2 * d * FLOAT} bytes, serve {tokens_of_block} queries = "
                    f"{2 * d * FLOAT // tokens_of_block} bytes for each score"]


# ---- float32 and bfloat16 ----

def float32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def bits(x):
    return struct.unpack("<I", struct.pack("<f", x))[0]


def bfloat16(x):
    """Rounds a float32 to the nearest bfloat16, ties to even, as vector_round_bf16() does."""
    b = bits(x)
    return struct.unpack("<f", struct.pack("<I", (b + 0x7fff + (b >> 16 & 1)) & 0xffff0000))[0]


def numbers_order():
    x = [16777216, 1, 1, 1]
    add = lambda a, b: float32(a + b)
    in_order = add(add(add(x[0], x[1]), x[2]), x[3])
    halves = add(add(x[0], x[1]), add(x[2], x[3]))
    backwards = add(add(add(x[3], x[2]), x[1]), x[0])
    return [f"float32:   ((2^24 + 1) + 1) + 1   = {in_order:.0f}     one thread, from left to right",
            f"           (2^24 + 1) + (1 + 1)   = {halves:.0f}     two threads, half of the terms each",
            f"           ((1 + 1) + 1) + 2^24   = {backwards:.0f}     from right to left (exact: {sum(x)})"]


def numbers_bf16():
    lines = [f"{'float32':<14}{'sign exponent fraction that stays | goes':<44}{'bfloat16':<14}{'error':>8}"]
    for x in (3.14159265, 0.1, 257.0):
        b, rounded = bits(x), bfloat16(float32(x))
        fields = f"{b >> 31:01b} {b >> 23 & 0xff:08b} {b >> 16 & 0x7f:07b}|{b & 0xffff:016b}"
        lines.append(f"{float32(x):<14.8g}{fields:<44}{rounded:<14.8g}{abs(rounded / float32(x) - 1):>8.2%}")
    total = wide = 0.0
    for _ in range(1000):
        total, wide = bfloat16(total + 1), float32(wide + 1)
    return lines + [f"1 added 1000 times: a bfloat16 sum stops at {total:.0f}, a float32 sum is {wide:.0f}"]
