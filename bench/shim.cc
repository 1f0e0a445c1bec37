// SPDX-License-Identifier: MIT
// Lets C register Google Benchmarks; it must not know what is measured.
#include "shim.h"

#include <benchmark/benchmark.h>

#include <ostream>
#include <string>
#include <vector>

static benchmark::State &state_of(shim_state *state)
{
    return *reinterpret_cast<benchmark::State *>(state);
}

void shim_register(const char *name, shim_run *run, const void *argument)
{
    benchmark::RegisterBenchmark(
        name, [run, argument](benchmark::State &state) { run(reinterpret_cast<shim_state *>(&state), argument); });
}

int shim_keep_running(shim_state *state, int64_t calls)
{
    return state_of(state).KeepRunningBatch(calls);
}

void shim_pause(shim_state *state)
{
    state_of(state).PauseTiming();
}

void shim_resume(shim_state *state)
{
    state_of(state).ResumeTiming();
}

void shim_skip(shim_state *state, const char *why)
{
    state_of(state).SkipWithError(why);
}

void shim_counter(shim_state *state, const char *name, double value)
{
    state_of(state).counters[name] = benchmark::Counter(value);
}

void shim_context(const char *key, const char *value)
{
    benchmark::AddCustomContext(key, value);
}

// Writes every row to the file as it comes: what was measured outlives a crash, but for the file's last brackets.
class FlushedJson : public benchmark::JSONReporter
{
  public:
    void ReportRuns(const std::vector<Run> &runs) override
    {
        benchmark::JSONReporter::ReportRuns(runs);
        GetOutputStream().flush();
    }
};

static bool wants_json_file(int argc, char **argv)
{
    bool file = false, json = true;
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        if (argument.rfind("--benchmark_out=", 0) == 0) file = argument.size() > sizeof "--benchmark_out=" - 1;
        if (argument.rfind("--benchmark_out_format=", 0) == 0) json = argument == "--benchmark_out_format=json";
    }
    return file && json;
}

int shim_main(int argc, char **argv, const char *min_time)
{
    // Ours goes first: of two equal flags the later one, the user's, counts.
    std::string flag = std::string("--benchmark_min_time=") + min_time;
    std::vector<char *> arguments(argv, argv + argc);
    arguments.insert(arguments.begin() + 1, &flag[0]);
    arguments.push_back(nullptr);
    int count = argc + 1;
    FlushedJson flushed;
    const bool own = wants_json_file(argc, argv);
    benchmark::Initialize(&count, arguments.data());
    if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 1;
    benchmark::RunSpecifiedBenchmarks(nullptr, own ? &flushed : nullptr);
    benchmark::Shutdown();
    return 0;
}
