// What reading a prompt needs beside products, each in one pass where tensor operations take several.

#include "parts.cuh"

namespace {

constexpr int THREADS = 256;
constexpr int WARPS = THREADS / WARP;

// The softmax over some positions: the largest score and the sum of exp(score - largest).
struct Total {
    float largest = -INFINITY, sum = 0;

    __device__ void add(Total other) {
        const float top = fmaxf(largest, other.largest);
        if (top == -INFINITY)
            return;
        sum = sum * expf(largest - top) + other.sum * expf(other.largest - top);
        largest = top;
    }
};

__device__ Total over_block(Total total) {
    __shared__ Total totals[WARPS];
    for (int apart = WARP / 2; apart > 0; apart /= 2) {
        Total other;
        other.largest = __shfl_xor_sync(~0u, total.largest, apart);
        other.sum = __shfl_xor_sync(~0u, total.sum, apart);
        total.add(other);
    }
    if (threadIdx.x % WARP == 0)
        totals[threadIdx.x / WARP] = total;
    __syncthreads();
    Total all;
    for (int w = 0; w < WARPS; w++)
        all.add(totals[w]);
    return all;
}

// The scores of one query and head, `[heads, queries, positions]`, become shares, in place. The queries are the last positions; each
// sees those up to its own, with a penalty on the root of the distance.
template <typename T> __device__ __forceinline__ void softmax(T *scores, const float *slopes, float scale, int positions) {
    const int queries = gridDim.x, own = positions - queries + blockIdx.x;
    T *row = scores + ((size_t)blockIdx.y * queries + blockIdx.x) * positions;
    const float slope = slopes[blockIdx.y];
    const auto score = [&](int i) { return widen(row[i]) * scale - slope * sqrtf(own - i); };
    Total total;
    for (int i = threadIdx.x; i <= own; i += THREADS)
        total.add({score(i), 1});
    total = over_block(total);
    for (int i = threadIdx.x; i < positions; i += THREADS)
        narrow(i <= own ? expf(score(i) - total.largest) / total.sum : 0, row[i]);
}

// silu(gate) * up of rows that hold `inner` values of each, side by side.
template <typename T> __device__ __forceinline__ void gate(const T *both, int inner, T *to) {
    const int i = (blockIdx.x * THREADS + threadIdx.x) * PART;
    if (i >= inner)
        return;
    const T *row = both + (size_t)blockIdx.y * 2 * inner + i;
    const Part<T> gates = read(row), ups = read(row + inner);
    Part<T> out;
    for (int k = 0; k < PART; k++) {
        const float x = widen(gates.values[k]);
        narrow(x / (1 + expf(-x)) * widen(ups.values[k]), out.values[k]);
    }
    *reinterpret_cast<uint4 *>(to + (size_t)blockIdx.y * inner + i) = out.whole;
}

} // namespace

#define KERNELS(T, type)                                                                                                           \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                                          \
        softmax_##type(T *scores, const float *slopes, float scale, int positions) {                                               \
        softmax(scores, slopes, scale, positions);                                                                                 \
    }                                                                                                                              \
    extern "C" __global__ void __launch_bounds__(THREADS) gate_##type(const T *both, int inner, T *to) { gate(both, inner, to); }

KERNELS(__half, f16)
KERNELS(__nv_bfloat16, bf16)
