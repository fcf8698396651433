// Half precision, and how threads read it.

#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

constexpr int WARP = 32;
// Values that one load brings, 16 bytes of half precision.
constexpr int PART = 8;
__device__ __forceinline__ float widen(__half x) { return __half2float(x); }
__device__ __forceinline__ float widen(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ __forceinline__ void narrow(float x, __half &y) { y = __float2half_rn(x); }
__device__ __forceinline__ void narrow(float x, __nv_bfloat16 &y) { y = __float2bfloat16_rn(x); }

template <typename T> union Part {
    uint4 whole;
    T values[PART];
};

// Weights pass once and should not push the activations out of the caches.
template <typename T> __device__ __forceinline__ Part<T> streamed(const T *from) {
    Part<T> part;
    part.whole = __ldcs(reinterpret_cast<const uint4 *>(from));
    return part;
}

template <typename T> __device__ __forceinline__ Part<T> read(const T *from) {
    Part<T> part;
    part.whole = *reinterpret_cast<const uint4 *>(from);
    return part;
}
