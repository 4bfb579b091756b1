/* Durations in ns, in buckets 1/64 of a power of two wide: a percentile is off by 1.6 % at most. */
#ifndef ODIN_BENCH_HISTOGRAM_H
#define ODIN_BENCH_HISTOGRAM_H

#include <stdint.h>

struct histogram {
    uint64_t buckets[64 * 64], count;
    int64_t largest;
};

static inline void record(struct histogram *h, int64_t ns)
{
    uint64_t value = ns > 0 ? (uint64_t)ns : 0;
    /* A value in [64 << shift, 128 << shift) goes to the 64 buckets from (shift + 1) * 64 on. */
    int shift = value < 64 ? 0 : 57 - __builtin_clzll(value);
    h->buckets[shift * 64 + (int)(value >> shift)]++;
    h->count++;
    if (ns > h->largest)
        h->largest = ns;
}

/* In ms; part is 0 to 1. */
static inline double percentile(const struct histogram *h, double part)
{
    uint64_t rank = (uint64_t)(part * (double)h->count), seen = 0;
    for (int i = 0; i < 64 * 64; i++) {
        seen += h->buckets[i];
        if (seen > rank) {
            int shift = i < 64 ? 0 : i / 64 - 1;
            uint64_t lower = (uint64_t)(i - shift * 64) << shift;
            double middle = (double)lower + (double)(1ULL << shift) / 2;
            return (middle < (double)h->largest ? middle : (double)h->largest) / 1e6;
        }
    }
    return 0;
}

#endif
