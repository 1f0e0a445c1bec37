#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Breaks named places of src/ and simd/, one at a time, and says which tests notice; it must not know what they test.

    python3 scripts/mutants.py                   every mutant: about half an hour on two cores
    python3 scripts/mutants.py <word> [<word>..] those whose name contains one of the words
    python3 scripts/mutants.py --list            the places, nothing is built

Works on a copy of the last commit's files in build-mutants/ and leaves the checkout alone. A mutant is caught if one of
the tests named for it fails, crashes or does not end. The exit status is 1 if one is missed that is not said to be
equal, or if a place is not found exactly once: then the list below wants to be brought up to date.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import time
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "build-mutants"
TREE, BUILD = WORK / "tree", WORK / "build"


class Mutant(NamedTuple):
    """One place and what breaks it."""

    name: str
    file: str
    old: str
    new: str
    tests: str  # programs that should notice
    equal: str = ""  # why no test can tell, where none can


MUTANTS = [
    # ---- the fast path of apply
    Mutant(
        "fast: position == max_positions",
        "src/usual_call.h",
        "position[k] >= (uint64_t)plan->max_positions",
        "position[k] > (uint64_t)plan->max_positions",
        "edges",
    ),
    Mutant(
        "fast: token stride",
        "src/usual_call.h",
        "(n > 1) & (p->token_stride != 1)",
        "0 & (p->token_stride != 1)",
        "edges",
    ),
    Mutant(
        "fast: ids without the offset",
        "src/usual_call.h",
        "(uint64_t)p->offset + (uint64_t)(is_ids",
        "(is_ids ? 0 : (uint64_t)p->offset) + (uint64_t)(is_ids",
        "positions edges",
    ),
    Mutant(
        "fast: two views that overlap",
        "src/fast_path.c",
        "odd |= roperot_extents_overlap(&e.src[i], &e.src[j]);",
        "(void)e.src[j];",
        "alias errors",
    ),
    Mutant(
        "fast: another dst",
        "src/fast_path.c",
        "((uintptr_t)dst->data ^ (uintptr_t)src->data) | (uint32_t)(dst->dtype",
        "(uint32_t)(dst->dtype",
        "edges",
    ),
    Mutant("fast: batch", "src/usual_call.h", "(uint64_t)(view->shape[0] ^ 1) |", "", "edges"),
    Mutant(
        "fast: misaligned ids",
        "src/usual_call.h",
        "(ids & (is_wide ? sizeof(int64_t) - 1 : sizeof(int32_t) - 1)) |",
        "",
        "edges",
    ),
    Mutant(
        "fast: flags of options",
        "src/usual_call.h",
        "(o->flags & ~(uint32_t)ROPEROT_SIGNED_POSITIONS) |",
        "",
        "apply errors shift",
    ),
    # ---- the fast path of jobs
    Mutant(
        "one token: a slot behind the last",
        "src/fast_jobs.c",
        "(slot >= (uint64_t)(p->pages * p->page_tokens))",
        "(slot > (uint64_t)(p->pages * p->page_tokens))",
        "fast_jobs",
    ),
    Mutant(
        "one token: its own slots",
        "src/fast_jobs.c",
        "int hits = meet(written, &read[0]) | meet(written, &read[1]);",
        "int hits = meet(written, &read[0]);",
        "fast_jobs",
    ),
    Mutant(
        "one token: what two jobs write",
        "src/fast_jobs.c",
        "hits |= meet(written, &all->written[k]) | meet",
        "hits |= meet",
        "fast_jobs",
    ),
    Mutant(
        "one token: what a job before reads",
        "src/fast_jobs.c",
        "| meet(written, &all->read[2 * k]) |",
        "|",
        "fast_jobs",
    ),
    Mutant(
        "one token: what a job before writes",
        "src/fast_jobs.c",
        "meet(&read[0], &all->written[k]) |",
        "0 |",
        "fast_jobs",
    ),
    Mutant(
        "one token: the norm of another dtype",
        "src/fast_jobs.c",
        "(uint64_t)(src != ROPEROT_INDEX_f32);",
        "0;",
        "fast_jobs",
    ),
    Mutant(
        "one token: weights that are refused",
        "src/fast_jobs.c",
        "norm->flags, n.channels)) return 0;",
        "norm->flags, n.channels)) return 1;",
        "fast_jobs",
    ),
    Mutant(
        "one token: an empty range",
        "src/fast_jobs.c",
        "if (is_empty) return count;",
        "",
        "fast_jobs",
    ),
    Mutant(
        "one token: a job with a factor",
        "src/fast_jobs.c",
        "(uintptr_t)j->from | (uintptr_t)j->factor |",
        "(uintptr_t)j->from |",
        "fast_jobs",
    ),
    Mutant(
        "one token: beside the rotated channels",
        "src/fast_jobs.c",
        "if (from != to->data && !(is_rotated && is_whole)) {",
        "if (from != to->data && !is_rotated) {",
        "fast_jobs",
    ),
    Mutant(
        "one token: the kept row of another position",
        "src/fast_jobs.c",
        "if (!kept || !roperot_kept_row_is(kept, plan, position, 0)) {",
        "if (!kept || !kept->plan) {",
        "fast_jobs",
    ),
    # ---- checks
    Mutant("tensor: stride[3]", "src/tensor.c", "if (t->stride[3] != 1)", "if (t->stride[3] < 1)", "errors"),
    Mutant("tensor: self-overlap", "src/tensor.c", "if (stride < extent)", "if (stride < extent - 1)", "alias errors"),
    Mutant(
        "tensor: alignment", "src/tensor.c", "if (data % (uintptr_t)size)", "if (data % (uintptr_t)size == 1)", "edges"
    ),
    Mutant(
        "overlap: the upper end",
        "src/overlap.c",
        "return k <= most && at + k * stride < high;",
        "return k <= most && at + k * stride < high - 1;",
        "alias run_errors",
    ),
    Mutant(
        "overlap: the outer range",
        "src/overlap.c",
        "const int64_t around = stride[inner] * most[inner];",
        "const int64_t around = 0;",
        "alias",
    ),
    Mutant("call: range", "src/call.c", "if (c->end > options->token_end) c->end = options->token_end;", "", "apply"),
    Mutant(
        "call: INVERSE under pairing_out",
        "src/call.c",
        "c->walk.in = options->flags & ROPEROT_INVERSE ? plan->pairing_out : plan->pairing;",
        "c->walk.in = plan->pairing;",
        "apply properties hashes",
    ),
    Mutant("call: streaming in place", "src/call.c", "c->loop == ROPEROT_LOOP_STREAM && o->in_place", "0", "loops"),
    # ---- positions
    Mutant(
        "positions: sums wrap",
        "src/positions_kinds.c",
        "if (roperot_magnitude(p->offset) > INT64_MAX / 2) return 0;",
        "",
        "edges",
    ),
    Mutant(
        "positions: last id of a row",
        "src/positions_kinds.c",
        "for (int64_t i = 0; i < count; i++)",
        "for (int64_t i = 0; i < count - 1; i++)",
        "positions edges",
    ),
    Mutant(
        "positions: RAGGED ends", "src/positions_kinds.c", "if (before != tokens)", "if (before > tokens)", "errors"
    ),
    Mutant(
        "positions: the sequence of a token",
        "src/positions_kinds.c",
        "if (roperot_id_read(p->cu_seqlens, p->cu_type, middle) <= t)",
        "if (roperot_id_read(p->cu_seqlens, p->cu_type, middle) < t)",
        "positions",
    ),
    # ---- threads and tiles
    Mutant("threads: before token_begin", "src/threads.c", "begin > s->begin ? begin : s->begin", "begin", "edges"),
    Mutant(
        "threads: lines", "src/threads.c", "while (period < LINE && stride * period % LINE) period *= 2;", "", "robust"
    ),
    Mutant(
        "tiles: heads outside",
        "src/tiles.c",
        "tile.heads_outer = step->range.count > 1 &&",
        "tile.heads_outer = 0 &&",
        "apply",
        "speed only: both orders of walking a tile rotate the same elements",
    ),
    Mutant(
        "convert: channels behind",
        "src/convert.c",
        "convert_channels(c, src, behind, 1, dst, behind, 1, dim - behind);",
        "convert_channels(c, src, behind, 1, dst, behind, 1, dim - behind - 1);",
        "apply",
    ),
    # ---- coefficients
    Mutant(
        "rows: negative positions",
        "src/coefficient_rows.c",
        "const int turn = (p < 0) != ((source->flags",
        "const int turn = 0 != ((source->flags",
        "positions shift",
    ),
    Mutant(
        "rows: PURE_ROTATION",
        "src/coefficient_rows.c",
        "pure ? 1.0 : plan->attention_factor",
        "plan->attention_factor",
        "shift properties apply",
    ),
    Mutant(
        "blend: forget", "src/coefficient_rows.c", "roperot_axis_blend_forget(scratch);", "", "axis_blend positions"
    ),
    Mutant(
        "blend: moved",
        "src/axis_blend.c",
        "return moved > 0 && moved <= differ;",
        "return moved <= differ;",
        "axis_blend positions",
    ),
    Mutant(
        "blend: fewest",
        "src/axis_blend.c",
        "return moved > 0 && moved <= differ;",
        "return moved > 0;",
        "axis_blend positions",
        "speed only: a row may be made from either, with more blends from the wrong one",
    ),
    Mutant(
        "cache: odd NaN in sin",
        "src/cache_borrowed.c",
        " || is_odd_nan(rows->sin[j])",
        "",
        "edges",
    ),
    Mutant("keys: arithmetic", "src/config_key.c", "N(arithmetic) ", "", "config_key"),
    Mutant("plan: frequencies of -0", "src/plan.c", "+ 0.0;", ";", "edges"),
    Mutant(
        "fpenv: sticky flags",
        "src/fpenv.h",
        "_mm_setcsr(saved->control);",
        "_mm_setcsr(saved->control | (_mm_getcsr() & 0x3f));",
        "edges",
    ),
    # ---- kernels
    Mutant(
        "strip: sign",
        "simd/strip.inc.h",
        "*y0 = V(sub)(V(mul)(x0, c), V(mul)(x1, s));",
        "*y0 = V(add)(V(mul)(x0, c), V(mul)(x1, s));",
        "kernels hashes",
    ),
    Mutant(
        "strip: the third vector",
        "simd/strip.inc.h",
        "if (count == 3) NAME(prefetch)",
        "if (count == 5) NAME(prefetch)",
        "kernels hashes",
    ),
    Mutant(
        "rotate: the last group of heads",
        "simd/rotate.inc.h",
        "heads - head >= FAR_HEADS ? FAR_HEADS : heads - head;",
        "heads - head >= FAR_HEADS ? FAR_HEADS : heads - head - (heads > FAR_HEADS);",
        "kernels",
    ),
    Mutant(
        "norm: mean of LAYER",
        "simd/norm.inc.h",
        "if (terms == ROPEROT_SUM_DEVIATIONS) x = lanes_sub(x, mean);",
        "",
        "run heads",
    ),
    Mutant(
        "norm: the mean of squares without epsilon",
        "src/norm.c",
        "sum / (float)count + (float)epsilon",
        "sum / (float)count",
        "run",
    ),
    Mutant(
        "norm: most channels of all heads",
        "src/norm.c",
        "roperot_saturating_mul(heads, dim) > ROPEROT_MAX_NORM_CHANNELS",
        "roperot_saturating_mul(heads, dim) >= ROPEROT_MAX_NORM_CHANNELS",
        "run_errors",
    ),
    # ---- jobs and pages
    Mutant(
        "jobs: a line to be skipped",
        "src/line.c",
        "if (slot < 0 && t->skips && t->to.pages) return NULL;",
        "",
        "run",
    ),
    Mutant(
        "jobs: a line that comes from nowhere",
        "src/line.c",
        "if (line.from_slot < 0) continue;",
        "if (line.from_slot < -1) continue;",
        "run fuzz_replay_run",
    ),
    Mutant(
        "jobs: what one job writes twice",
        "src/jobs.c",
        "if (other <= LAST_WRITTEN && (i < k || (i == k && other >= at))) continue;",
        "if (other <= LAST_WRITTEN && i <= k) continue;",
        "run_errors",
    ),
    Mutant(
        "jobs: slots that are written",
        "src/jobs.c",
        "&p->extent[TO_SLOTS]);",
        "&p->extent[FROM_SLOTS]);",
        "run_errors",
    ),
    Mutant(
        "usual: what two jobs write",
        "src/usual_jobs.c",
        "for (int32_t k = i + 1; k < all->writes; k++) {",
        "for (int32_t k = i + 1; k < i; k++) {",
        "run_errors run_alias",
    ),
    Mutant(
        "usual: what another job reads",
        "src/usual_jobs.c",
        "hits += (begin < all->read[k].end) & (all->read[k].begin < end);",
        "hits += (begin < all->read[k].end) & (all->read[k].begin + 1 < end);",
        "run_errors run_alias alias",
    ),
    Mutant(
        "usual: one element short",
        "src/pages.h",
        "if ((inner < core && inner_count != 1) || (outer < block && outer_count != 1)) return 0;",
        "if ((inner < core - 1 && inner_count != 1) || (outer < block - 1 && outer_count != 1)) return 0;",
        "run_errors run_alias",
    ),
    Mutant(
        "usual: pages within each other",
        "src/pages.h",
        "if (s->page < page && pages != 1) return 0;",
        "",
        "run_errors run_alias",
    ),
    Mutant(
        "usual: one byte of slots",
        "src/usual_jobs.c",
        "slots, (uint64_t)(lines * slot_size)) &&",
        "slots, (uint64_t)slot_size) &&",
        "run_errors run_alias",
    ),
    Mutant("pages: slot == all slots", "src/pages.c", "if (slot >= slots)", "if (slot > slots)", "run_errors"),
    Mutant("pages: one element short", "src/pages.c", "if (stride < extent)", "if (stride < extent - 1)", "run_errors"),
    Mutant(
        "pages: rows of two caches beside each other",
        "src/pages.c",
        "rows ? roperot_magnitude(bytes_of_stride(&la, 2)) : 0 };",
        "0 };",
        "run_errors run_alias",
    ),
    Mutant(
        "pages: strides of the other sign",
        "src/pages.c",
        "return l->axis[i].count == 1 ? 0 : l->axis[i].stride * l->unit;",
        "return l->axis[i].count == 1 ? 0 : roperot_magnitude(l->axis[i].stride) * l->unit;",
        "run_alias",
    ),
    Mutant(
        "pages: pages of the other size",
        "src/pages.c",
        "if (la.axis[0].count != lb.axis[0].count || pages != bytes_of_stride(&lb, 0)) return 0;",
        "",
        "run_alias",
    ),
    Mutant(
        "pages: groups of a tile",
        "src/pages.c",
        "set_steps(&v->token, 8, 8 * d, 4, size)",
        "set_steps(&v->token, 8, 8 * d, 2, size)",
        "run",
    ),
    Mutant(
        "hub: a scale without an inverse",
        "src/hub.c",
        "inverse[h] = by <= FLT_MAX ? by : 0.0f;",
        "inverse[h] = by;",
        "run fuzz_replay_run",
    ),
    Mutant(
        "hub: the least scale",
        "src/hub.c",
        "scale[h] = exact > p->scale_floor ? exact : p->scale_floor;",
        "scale[h] = exact;",
        "run fuzz_replay_run",
    ),
    Mutant(
        "hub: quantised without rounding to T",
        "src/hub.c",
        "if (is_quantised(j->to.pages->dtype) && j->rounds)",
        "if (0)",
        "run fuzz_replay_run",
    ),
    Mutant(
        "hub: unrounded all the same",
        "src/hub.c",
        "if (is_quantised(j->to.pages->dtype) && j->rounds)",
        "if (is_quantised(j->to.pages->dtype))",
        "run fuzz_replay_run",
    ),
    Mutant(
        "store: q8_0 of the second half",
        "simd/store.inc.h",
        "lanes_larger(lanes_larger(lanes_set1(0.0f), x0), x1)",
        "lanes_larger(lanes_set1(0.0f), x0)",
        "run heads",
    ),
    # ---- what the fuzz corpora know: a scratch, mixed frequencies, rows per head
    Mutant(
        "kept row: other flags",
        "src/kept_row.h",
        "kept->position == position && kept->flags == flags;",
        "kept->position == position && (kept->flags == flags || flags);",
        "fuzz_replay_apply scratch",
    ),
    Mutant(
        "mixed: the first axis alone",
        "src/coefficient_rows.c",
        "angles_mixed(space, space + block.count, x, plan->axes, plan",
        "angles_mixed(space, space + block.count, x, 1, plan",
        "fuzz_replay_apply fuzz_replay_run",
    ),
    Mutant(
        "mixed: inverse",
        "src/coefficient_rows.c",
        "if (source->flags & ROPEROT_INVERSE) negate(space + block.count, block.count);",
        "",
        "fuzz_replay_apply fuzz_replay_run",
    ),
    Mutant(
        "table: rows of the first head",
        "src/coefficient_rows.c",
        "at * table->stride + block.head * table->head_stride + first",
        "at * table->stride + first",
        "fuzz_replay_apply fuzz_replay_run",
    ),
    Mutant(
        "scratch: too small",
        "src/kept_row.h",
        "(uint64_t)(bytes < plan->scratch_bytes)",
        "(uint64_t)(bytes < 0)",
        "fuzz_replay_apply fuzz_replay_run scratch edges errors",
    ),
]


def run(command: list[str], **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)  # type: ignore[call-overload, no-any-return]


def prepare() -> None:
    """Copies the last commit and sets up a build without what takes long and breaks nothing of its own."""
    head = run(["git", "-C", str(ROOT), "rev-parse", "HEAD"]).stdout
    if (WORK / "commit").exists() and (WORK / "commit").read_text() == head:
        return  # as the last run left it, which is as it was
    shutil.rmtree(TREE, ignore_errors=True)
    TREE.mkdir(parents=True)
    archive = subprocess.Popen(["git", "-C", str(ROOT), "archive", "HEAD"], stdout=subprocess.PIPE)
    subprocess.run(["tar", "-x", "-C", str(TREE)], stdin=archive.stdout, check=True)
    shutil.rmtree(BUILD, ignore_errors=True)
    options = ["-Dbuildtype=release", "-Dtests=enabled", "-Dbench=disabled", "-Davx512=disabled"]
    done = run(["meson", "setup", *options, str(BUILD), str(TREE)])
    if done.returncode:
        sys.exit(done.stdout[-2000:] + "mutants.py: error: meson setup failed")
    (WORK / "commit").write_text(head)


def programs(mutant: Mutant) -> list[str]:
    """The targets of a mutant's tests."""
    known = {target.rsplit("/", 1)[1].removeprefix("test_"): target for target in TARGETS}
    unknown = [name for name in mutant.tests.split() if name not in known]
    if unknown:
        sys.exit(f"mutants.py: error: {mutant.name!r} names tests that are not built: {' '.join(unknown)}")
    return [known[name] for name in mutant.tests.split()]


def command(program: str) -> list[str]:
    """How a test is run: a fuzz target's over its corpus."""
    name = program.rsplit("/", 1)[1]
    corpus = [str(TREE / "tests/fuzz" / name.replace("fuzz_replay", "corpus"))] if name.startswith("fuzz_") else []
    return [str(BUILD / program), *corpus]


def targets() -> list[str]:
    listed = run(["ninja", "-C", str(BUILD), "-t", "targets", "all"]).stdout.splitlines()
    names = [line.split(":")[0] for line in listed]
    tests = [n for n in names if n.startswith("tests/") and "." not in n.rsplit("/", 1)[1]]
    return [n for n in tests if n.rsplit("/", 1)[1].startswith(("test_", "fuzz_replay_"))]


def verdict(mutant: Mutant) -> str:
    """What happens to the tests: '' if they pass."""
    built = run(["ninja", "-C", str(BUILD), *programs(mutant)])
    if built.returncode:
        return "does not compile"
    environment = os.environ | {"ROPEROT_TEST_QUICK": "1", "ROPEROT_TEST_MODELS": str(TREE / "tests" / "models")}
    for program in programs(mutant):
        try:
            done = run(command(program), env=environment, timeout=600)
        except subprocess.TimeoutExpired:
            return program + " does not end"
        if done.returncode:
            bad = [line for line in done.stdout.splitlines() if line.startswith(("not ok", "Bail out"))]
            return program.rsplit("/", 1)[1] + ": " + (bad[0] if bad else f"status {done.returncode}")[:90]
    return ""


def attempt(mutant: Mutant) -> tuple[str, bool]:
    path = TREE / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        return f"OUT OF DATE: its text is {text.count(mutant.old)} times in {mutant.file}", False
    mark = (WORK / "commit").read_text()
    (WORK / "commit").unlink()  # a run that is killed here leaves a broken tree
    path.write_text(text.replace(mutant.old, mutant.new))
    try:
        what = verdict(mutant)
    finally:
        path.write_text(text)
        (WORK / "commit").write_text(mark)
    if what == "does not compile":
        return "OUT OF DATE: " + what, False
    if what:
        return "caught by " + what, True
    return ("equal: " + mutant.equal, True) if mutant.equal else ("MISSED by " + mutant.tests, False)


def main() -> None:
    global TARGETS
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="parts of names")
    parser.add_argument("--list", action="store_true", help="print the places and end")
    given = parser.parse_args()
    chosen = [m for m in MUTANTS if not given.words or any(word in m.name for word in given.words)]
    if given.list:
        print("\n".join(f"{m.name:38} {m.file:26} {m.tests}" for m in chosen))
        return
    prepare()
    TARGETS = targets()
    for mutant in chosen:
        programs(mutant)
    caught = good = 0
    for mutant in chosen:
        started = time.monotonic()
        what, right = attempt(mutant)
        caught += what.startswith("caught")
        good += right
        print(f"{mutant.name:38} {what} ({time.monotonic() - started:.0f} s)", flush=True)
    print(f"{len(chosen)} mutants: {caught} caught, {good - caught} equal, {len(chosen) - good} missed or out of date")
    sys.exit(good != len(chosen))


TARGETS: list[str] = []

if __name__ == "__main__":
    main()
