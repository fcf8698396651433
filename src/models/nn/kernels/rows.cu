// What stands between the products of the networks that compute in f32, each in one pass where tensor operations take several.
//
// Values follow each other in rows. Where rows are a multiple of four values, a thread takes four of them at once.

#include <cstdint>

namespace {

template <int N> struct alignas(4 * N) Values {
    float of[N];
};

template <int N> __device__ __forceinline__ Values<N> read(const float *from) { return *reinterpret_cast<const Values<N> *>(from); }

template <int N> __device__ __forceinline__ void write(Values<N> values, float *to) { *reinterpret_cast<Values<N> *>(to) = values; }

__device__ __forceinline__ uint32_t thread() { return blockIdx.x * blockDim.x + threadIdx.x; }

// In the order of `Activation`.
enum Activation : uint32_t { NONE, RELU, LEAKY_RELU, ELU, SILU, GELU, GELU_TANH, MISH };

__device__ __forceinline__ float activated(float x, uint32_t activation, float slope) {
    switch (activation) {
    case RELU:
        return fmaxf(x, 0);
    case LEAKY_RELU:
        return fmaxf(x, slope * x);
    case ELU:
        return x > 0 ? x : expm1f(x);
    case SILU:
        return x / (1 + expf(-x));
    case GELU:
        return 0.5f * x * (1 + erff(x * 0.70710678f));
    case GELU_TANH:
        return x / (1 + expf(-1.5957691f * x * (1 + 0.044715f * x * x)));
    case MISH: {
        const float e = expf(fminf(x, 20)), n = e * (e + 2);
        return x * (n / (n + 2));
    }
    default:
        return x;
    }
}

// activation(x + bias) * scale + base; what is not there is null. `count` parts of N values in rows of `width` parts.
template <int N>
__device__ __forceinline__ void finish(const float *x, const float *bias, const float *scale, const float *base, uint32_t activation,
                                       float slope, uint32_t width, uint32_t count, float *to) {
    const uint32_t part = thread();
    if (part >= count)
        return;
    const size_t at = (size_t)part * N;
    const uint32_t column = part % width * N;
    Values<N> y = read<N>(x + at);
    if (bias) {
        const Values<N> added = read<N>(bias + column);
        for (int k = 0; k < N; k++)
            y.of[k] += added.of[k];
    }
    for (int k = 0; k < N; k++)
        y.of[k] = activated(y.of[k], activation, slope);
    if (scale) {
        const Values<N> factors = read<N>(scale + column);
        for (int k = 0; k < N; k++)
            y.of[k] *= factors.of[k];
    }
    if (base) {
        const Values<N> below = read<N>(base + at);
        for (int k = 0; k < N; k++)
            y.of[k] += below.of[k];
    }
    write<N>(y, to + at);
}

// The taps of each row of a convolution side by side, `[batch, rows, taps, width]` of `[batch, rows_in, width]`, zero before the first
// and behind the last row. `width` in parts of N values.
template <int N>
__device__ __forceinline__ void windows(const float *x, uint32_t rows_in, uint32_t rows, uint32_t taps, uint32_t width, uint32_t stride,
                                        uint32_t dilation, uint32_t left, uint32_t count, float *to) {
    const uint32_t part = thread();
    if (part >= count)
        return;
    const uint32_t column = part % width, tap = part / width % taps, row = part / width / taps % rows;
    const size_t batch = part / width / taps / rows;
    // Before the first row it wraps round and is behind the last one too.
    const uint32_t from = row * stride + tap * dilation - left;
    Values<N> values = {};
    if (from < rows_in)
        values = read<N>(x + ((batch * rows_in + from) * width + column) * N);
    write<N>(values, to + (size_t)part * N);
}

// Rows of `width` parts of N values that lie apart, `[d0, d1, d2]` of them at the strides `s0`, `s1` and `s2`, one behind the other.
template <int N>
__device__ __forceinline__ void gather(const float *x, uint32_t d1, uint32_t d2, uint32_t width, uint32_t s0, uint32_t s1, uint32_t s2,
                                       uint32_t count, float *to) {
    const uint32_t part = thread();
    if (part >= count)
        return;
    const uint32_t column = part % width, row = part / width;
    const size_t start = (size_t)(row / d2 / d1) * s0 + (size_t)(row / d2 % d1) * s1 + (size_t)(row % d2) * s2;
    write<N>(read<N>(x + start + column * N), to + (size_t)part * N);
}

// x + sin(alpha x)^2 * scale, with a row of each.
template <int N>
__device__ __forceinline__ void snake(const float *x, const float *alpha, const float *scale, uint32_t width, uint32_t count, float *to) {
    const uint32_t part = thread();
    if (part >= count)
        return;
    const uint32_t column = part % width * N;
    Values<N> y = read<N>(x + (size_t)part * N);
    const Values<N> a = read<N>(alpha + column), s = read<N>(scale + column);
    for (int k = 0; k < N; k++) {
        const float wave = sinf(a.of[k] * y.of[k]);
        y.of[k] += wave * wave * s.of[k];
    }
    write<N>(y, to + (size_t)part * N);
}

// (x - mean) / sqrt(variance + eps) * weight + bias of each row, by one warp; the variance is taken around the mean.
template <int N>
__device__ __forceinline__ void normalise(const float *x, const float *weight, const float *bias, float eps, uint32_t width,
                                          uint32_t rows, float *to) {
    constexpr uint32_t WARP = 32;
    const uint32_t row = thread() / WARP, lane = thread() % WARP;
    if (row >= rows)
        return;
    const size_t start = (size_t)row * width * N;
    const auto total = [&](auto term) {
        float sum = 0;
        for (uint32_t part = lane; part < width; part += WARP) {
            const Values<N> values = read<N>(x + start + part * N);
            for (int k = 0; k < N; k++)
                sum += term(values.of[k]);
        }
        for (uint32_t apart = WARP / 2; apart > 0; apart /= 2)
            sum += __shfl_xor_sync(~0u, sum, apart);
        return sum;
    };
    const float count = width * N, mean = total([](float v) { return v; }) / count;
    const float variance = total([&](float v) { return (v - mean) * (v - mean); }) / count;
    const float scale = 1 / sqrtf(variance + eps);
    for (uint32_t part = lane; part < width; part += WARP) {
        Values<N> y = read<N>(x + start + part * N);
        const Values<N> w = read<N>(weight + part * N), b = read<N>(bias + part * N);
        for (int k = 0; k < N; k++)
            y.of[k] = (y.of[k] - mean) * scale * w.of[k] + b.of[k];
        write<N>(y, to + start + part * N);
    }
}

} // namespace

#define KERNELS(n)                                                                                                                 \
    extern "C" __global__ void finish_##n(const float *x, const float *bias, const float *scale, const float *base,                \
                                          uint32_t activation, float slope, uint32_t width, uint32_t count, float *to) {           \
        finish<n>(x, bias, scale, base, activation, slope, width, count, to);                                                      \
    }                                                                                                                              \
    extern "C" __global__ void windows_##n(const float *x, uint32_t rows_in, uint32_t rows, uint32_t taps, uint32_t width,         \
                                           uint32_t stride, uint32_t dilation, uint32_t left, uint32_t count, float *to) {         \
        windows<n>(x, rows_in, rows, taps, width, stride, dilation, left, count, to);                                              \
    }                                                                                                                              \
    extern "C" __global__ void gather_##n(const float *x, uint32_t d1, uint32_t d2, uint32_t width, uint32_t s0, uint32_t s1,      \
                                          uint32_t s2, uint32_t count, float *to) {                                                \
        gather<n>(x, d1, d2, width, s0, s1, s2, count, to);                                                                        \
    }                                                                                                                              \
    extern "C" __global__ void snake_##n(const float *x, const float *alpha, const float *scale, uint32_t width, uint32_t count,   \
                                         float *to) {                                                                              \
        snake<n>(x, alpha, scale, width, count, to);                                                                               \
    }                                                                                                                              \
    extern "C" __global__ void normalise_##n(const float *x, const float *weight, const float *bias, float eps, uint32_t width,    \
                                             uint32_t rows, float *to) {                                                           \
        normalise<n>(x, weight, bias, eps, width, rows, to);                                                                       \
    }

KERNELS(1)
KERNELS(4)
