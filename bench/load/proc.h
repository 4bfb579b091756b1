/* CPU that processes and cores have used, read from /proc. */
#ifndef ODIN_BENCH_PROC_H
#define ODIN_BENCH_PROC_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct cpu {
    double user, system, total; /* seconds; total is the scheduler's own clock where the kernel keeps it */
};

static inline double task_seconds(const char *pid)
{
    char path[300];
    double ns = 0;
    snprintf(path, sizeof path, "/proc/%s/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks)
        return 0;
    for (struct dirent *task; (task = readdir(tasks));) {
        if (task->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%.20s/task/%.20s/schedstat", pid, task->d_name);
        FILE *file = fopen(path, "r");
        double value;
        if (file) {
            if (fscanf(file, "%lf", &value) == 1)
                ns += value;
            fclose(file);
        }
    }
    closedir(tasks);
    return ns / 1e9;
}

/* Sums over a comma-separated list of process ids. */
static inline struct cpu cpu_of(const char *pids)
{
    struct cpu sum = {0};
    char list[1024], path[64], line[1024];
    double ticks = (double)sysconf(_SC_CLK_TCK);
    snprintf(list, sizeof list, "%s", pids);
    for (char *save = NULL, *pid = strtok_r(list, ",", &save); pid; pid = strtok_r(NULL, ",", &save)) {
        snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
        FILE *file = fopen(path, "r");
        if (!file)
            continue;
        if (fgets(line, sizeof line, file)) {
            unsigned long user = 0, system = 0;
            char *after = strrchr(line, ')'); /* the name may hold anything */
            if (after)
                sscanf(after + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
            double exact = task_seconds(pid);
            sum.user += (double)user / ticks;
            sum.system += (double)system / ticks;
            sum.total += exact > 0 ? exact : (double)(user + system) / ticks;
        }
        fclose(file);
    }
    return sum;
}

/* Seconds that one core has not been idle; 0 if it cannot be told. */
static inline double core_busy(int core)
{
    char line[512], name[16];
    double busy = 0;
    FILE *file = fopen("/proc/stat", "r");
    snprintf(name, sizeof name, "cpu%d ", core);
    while (file && fgets(line, sizeof line, file)) {
        unsigned long long v[8] = {0};
        if (strncmp(line, name, strlen(name)))
            continue;
        sscanf(line + strlen(name), "%llu %llu %llu %llu %llu %llu %llu %llu", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6,
               v + 7);
        busy = (double)(v[0] + v[1] + v[2] + v[5] + v[6] + v[7]) / (double)sysconf(_SC_CLK_TCK);
        break;
    }
    if (file)
        fclose(file);
    return busy;
}

#endif
