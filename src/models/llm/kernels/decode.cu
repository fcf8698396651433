// What one decoded token needs, in seven launches for each layer: norms, products of a matrix with the rows of a few conversations,
// and attention from one new position to all before it.
//
// A token reads every weight once, so the memory of the card sets its pace, as long as nothing waits in between. The gate and the
// sum with the residual stream are therefore part of the products before them. And a kernel starts while the one before it still
// runs, to ask for its weights (programmatic dependent launch, from compute capability 9.0 on).
//
// Each conversation gets the same numbers alone as among others: no order of summation depends on how many there are.

#include "parts.cuh"

namespace {

// Conversations that a launch takes.
constexpr int MOST = 8;

// The next kernel may start as soon as all blocks of this one have: it only asks for its weights and then waits.
__device__ __forceinline__ void let_next_start() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// Until the kernel before has ended, and with it those before that, since every kernel waits. What is read from here on may have been
// written by them.
__device__ __forceinline__ void wait() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Asks for memory that is read soon; a multiple of 16 bytes.
__device__ __forceinline__ void fetch(const void *from, int bytes) {
#if __CUDA_ARCH__ >= 900
    asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(__cvta_generic_to_global(from)), "r"(bytes));
#endif
}

// ---- Norm ----

constexpr int NORMING = 1024;

// x / rms(x) * weight of a row of the residual stream, as a row of T.
template <typename T> __device__ __forceinline__ void norm(const float *stream, const T *weight, float eps, int width, T *to) {
    __shared__ float sums[NORMING / WARP];
    stream += (size_t)blockIdx.x * width;
    to += (size_t)blockIdx.x * width;
    let_next_start();
    wait();
    float sum = 0;
    for (int i = threadIdx.x; i < width; i += NORMING)
        sum += stream[i] * stream[i];
    for (int apart = WARP / 2; apart > 0; apart /= 2)
        sum += __shfl_xor_sync(~0u, sum, apart);
    if (threadIdx.x % WARP == 0)
        sums[threadIdx.x / WARP] = sum;
    __syncthreads();
    float all = 0;
    for (int w = 0; w < NORMING / WARP; w++)
        all += sums[w];
    const float inverse = rsqrtf(all / width + eps);
    for (int i = threadIdx.x; i < width; i += NORMING)
        narrow(stream[i] * inverse * widen(weight[i]), to[i]);
}

// ---- Products ----

constexpr int THREADS = 256;
constexpr int WARPS = THREADS / WARP;
// Blocks that a processor holds at once.
constexpr int RESIDENT = 4;
// Outputs of one turn of a block.
constexpr int OUTPUTS = 8;
// Columns that a warp multiplies at once, by four lanes a row, and those that it takes before the next warp's begin: 128 bytes.
constexpr int STEP = 4 * PART, RUN = 2 * STEP;
// Loads of weights that are under way while those before are multiplied.
constexpr int LOADS = 4;
// Bytes of the rows of a turn that are asked for before the kernel before has ended.
constexpr int EARLY = 2048;

// What follows a product.
enum class To {
    Rows,   // nothing: rows of T
    Sum,    // the sum with the residual stream, which is f32, in place
    Gated,  // silu(y[i]) * y[i + outputs]: rows of T
    Logits, // nothing: rows of f32
};

// The product of 16 rows of weights, `low` and `high`, with 8 rows of activations over the columns that four lanes hold: lane 4 r + i
// has the i-th part of row r. Which of its values the instruction takes for which column does not matter, since it is the same
// on both sides. Lane 4 r + i gets the sums of row r, and of row r + 8, with activations 2 i and 2 i + 1.
template <typename T> __device__ __forceinline__ void multiply(float (&sums)[4], const uint4 &low, const uint4 &high, const uint4 &x);

#define MULTIPLY(T, type)                                                                                                          \
    template <> __device__ __forceinline__ void multiply<T>(float (&s)[4], const uint4 &low, const uint4 &high, const uint4 &x) {  \
        asm("mma.sync.aligned.m16n8k16.row.col.f32." type "." type ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "           \
            "{%0, %1, %2, %3};"                                                                                                    \
            : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3])                                                                       \
            : "r"(low.x), "r"(high.x), "r"(low.y), "r"(high.y), "r"(x.x), "r"(x.y));                                               \
        asm("mma.sync.aligned.m16n8k16.row.col.f32." type "." type ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "           \
            "{%0, %1, %2, %3};"                                                                                                    \
            : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3])                                                                       \
            : "r"(low.z), "r"(high.z), "r"(low.w), "r"(high.w), "r"(x.z), "r"(x.w));                                               \
    }

MULTIPLY(__half, "f16")
MULTIPLY(__nv_bfloat16, "bf16")

// Each block takes some outputs in turn, its warps share the columns.
template <typename T, To TO>
__device__ __forceinline__ void product(const T *weights, const T *input, int inputs, int outputs, int conversations, void *output) {
    constexpr int SIDES = TO == To::Gated ? 2 : 1, AHEAD = LOADS / SIDES;
    __shared__ float partial[WARPS][SIDES][OUTPUTS][MOST];
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, row = lane / 4;
    const int steps = (inputs + WARPS * RUN - 1) / (WARPS * RUN) * 2;
    const auto column_of = [&](int step) { return (step / 2 * WARPS + warp) * RUN + step % 2 * STEP + lane % 4 * PART; };
    const size_t other_side = (size_t)outputs * inputs;
    let_next_start();

    for (int first = blockIdx.x * OUTPUTS; first < outputs; first += gridDim.x * OUTPUTS) {
        const T *rows = weights + (size_t)min(first + row, outputs - 1) * inputs;
        Part<T> next[AHEAD][SIDES];
        const auto load = [&](int step) {
            for (int a = 0; a < AHEAD; a++)
                for (int side = 0; side < SIDES; side++) {
                    const int column = column_of(step + a);
                    next[a][side] = column < inputs ? streamed(rows + side * other_side + column) : Part<T>{};
                }
        };
        load(0);
        if (first == blockIdx.x * OUTPUTS) {
            if (warp < SIDES && lane % 4 == 0)
                fetch(rows + warp * other_side, min(inputs * (int)sizeof(T), EARLY / SIDES));
            wait();
        }
        float sums[4] = {};
#pragma unroll 1
        for (int step = 0; step < steps; step += AHEAD) {
            Part<T> now[AHEAD][SIDES], x[AHEAD];
            for (int a = 0; a < AHEAD; a++) {
                const int column = column_of(step + a);
                x[a] = row < conversations && column < inputs ? read(input + (size_t)row * inputs + column) : Part<T>{};
                for (int side = 0; side < SIDES; side++)
                    now[a][side] = next[a][side];
            }
            load(step + AHEAD);
            for (int a = 0; a < AHEAD; a++)
                multiply<T>(sums, now[a][0].whole, SIDES == 2 ? now[a][SIDES - 1].whole : uint4{}, x[a].whole);
        }
        for (int side = 0; side < SIDES; side++)
            for (int i = 0; i < 2; i++)
                partial[warp][side][row][lane % 4 * 2 + i] = sums[2 * side + i];
        __syncthreads();
        const int n = threadIdx.x / OUTPUTS, o = threadIdx.x % OUTPUTS;
        if (n < conversations && first + o < outputs) {
            float y[SIDES] = {};
            for (int w = 0; w < WARPS; w++)
                for (int side = 0; side < SIDES; side++)
                    y[side] += partial[w][side][o][n];
            const size_t at = (size_t)n * outputs + first + o;
            if (TO == To::Rows)
                narrow(y[0], static_cast<T *>(output)[at]);
            if (TO == To::Sum)
                static_cast<float *>(output)[at] += y[0];
            if (TO == To::Logits)
                static_cast<float *>(output)[at] = y[0];
            if (TO == To::Gated)
                narrow(y[0] / (1 + expf(-y[0])) * y[SIDES - 1], static_cast<T *>(output)[at]);
        }
        __syncthreads();
    }
}

// ---- Attention ----

constexpr int READERS = 512;
// Positions of one reader whose keys and values are under way at once.
constexpr int POSITIONS = 8;
constexpr int LARGEST_HEAD = WARP * PART;

// Where one conversation keeps keys and values of the layer, `[groups, capacity, size]`, and how many positions it has.
struct Memory {
    void *keys, *values;
    int length, capacity;
};

struct Memories {
    Memory of[MOST];
};

// The softmax over some positions: the largest score, the sum of exp(score - largest), and the values weighed with them.
struct Mean {
    float largest = -INFINITY, sum = 0, values[PART] = {};

    __device__ void rescale(float to) {
        const float factor = expf(largest - to);
        sum *= factor;
        for (int k = 0; k < PART; k++)
            values[k] *= factor;
        largest = to;
    }
};

// Keys and values of the new position are behind the queries in `projected`: `[conversations, (heads + 2 groups) * size]`. They
// are put into the memory for the tokens to come; for this one they are read where they are.
//
// A few lanes share one position, each with 16 bytes of it, and make up a reader; all readers of the block take turns.
template <typename T>
__device__ __forceinline__ void attend(const T *projected, Memories memories, const float *slopes, int groups, int size, T *mixed) {
    const int heads = gridDim.x, head = blockIdx.x, group = head / (heads / groups);
    const int lanes = size / PART, part = threadIdx.x % lanes * PART;
    const int reader = threadIdx.x / lanes, readers = READERS / lanes;
    const Memory memory = memories.of[blockIdx.y];
    const T *row = projected + (size_t)blockIdx.y * (heads + 2 * groups) * size;
    const T *new_key = row + (heads + group) * size + part, *new_value = new_key + groups * size;
    const size_t room = (size_t)group * memory.capacity * size + part;
    T *keys = static_cast<T *>(memory.keys) + room, *values = static_cast<T *>(memory.values) + room;
    let_next_start();
    const bool is_first = head % (heads / groups) == 0;
    if (is_first && threadIdx.x == 0 && memory.length > 0) {
        fetch(keys - part, memory.length * size * (int)sizeof(T));
        fetch(values - part, memory.length * size * (int)sizeof(T));
    }
    wait();
    if (is_first && reader == 0) {
        const size_t at = (size_t)memory.length * size;
        *reinterpret_cast<uint4 *>(keys + at) = read(new_key).whole;
        *reinterpret_cast<uint4 *>(values + at) = read(new_value).whole;
    }

    float query[PART];
    const Part<T> asked = read(row + head * size + part);
    for (int k = 0; k < PART; k++)
        query[k] = widen(asked.values[k]) * rsqrtf(size);
    const float slope = slopes[head];
    Mean mean;
    // All lanes stay in the loop, since they exchange values in it.
#pragma unroll 1
    for (int start = 0; start <= memory.length; start += readers * POSITIONS) {
        Part<T> key[POSITIONS], value[POSITIONS];
        for (int p = 0; p < POSITIONS; p++) {
            const int position = min(start + p * readers + reader, memory.length);
            const size_t at = (size_t)position * size;
            key[p] = read(position < memory.length ? keys + at : new_key);
            value[p] = read(position < memory.length ? values + at : new_value);
        }
        float scores[POSITIONS], largest = mean.largest;
        for (int p = 0; p < POSITIONS; p++) {
            float score = 0;
            for (int k = 0; k < PART; k++)
                score = fmaf(query[k], widen(key[p].values[k]), score);
            for (int apart = 1; apart < lanes; apart *= 2)
                score += __shfl_xor_sync(~0u, score, apart);
            const int distance = memory.length - (start + p * readers + reader);
            scores[p] = distance < 0 ? -INFINITY : score - slope * sqrtf(distance);
            largest = fmaxf(largest, scores[p]);
        }
        if (largest == -INFINITY)
            continue;
        mean.rescale(largest);
        for (int p = 0; p < POSITIONS; p++) {
            const float weight = expf(scores[p] - largest);
            mean.sum += weight;
            for (int k = 0; k < PART; k++)
                mean.values[k] = fmaf(weight, widen(value[p].values[k]), mean.values[k]);
        }
    }

    // The means of the readers of a warp, then those of the warps.
    for (int apart = lanes; apart < WARP; apart *= 2) {
        Mean other;
        other.largest = __shfl_xor_sync(~0u, mean.largest, apart);
        other.sum = __shfl_xor_sync(~0u, mean.sum, apart);
        for (int k = 0; k < PART; k++)
            other.values[k] = __shfl_xor_sync(~0u, mean.values[k], apart);
        const float largest = fmaxf(mean.largest, other.largest);
        if (largest == -INFINITY)
            continue;
        mean.rescale(largest);
        other.rescale(largest);
        mean.sum += other.sum;
        for (int k = 0; k < PART; k++)
            mean.values[k] += other.values[k];
    }
    __shared__ float largest[READERS / WARP], sums[READERS / WARP], rows[READERS / WARP][LARGEST_HEAD];
    const int warp = threadIdx.x / WARP;
    if (threadIdx.x % WARP < lanes) {
        largest[warp] = mean.largest;
        sums[warp] = mean.sum;
        for (int k = 0; k < PART; k++)
            rows[warp][part + k] = mean.values[k];
    }
    __syncthreads();
    float top = -INFINITY;
    for (int w = 0; w < READERS / WARP; w++)
        top = fmaxf(top, largest[w]);
    for (int i = threadIdx.x; i < size; i += READERS) {
        float above = 0, below = 0;
        for (int w = 0; w < READERS / WARP; w++) {
            const float factor = expf(largest[w] - top);
            above += rows[w][i] * factor;
            below += sums[w] * factor;
        }
        narrow(above / below, mixed[((size_t)blockIdx.y * heads + head) * size + i]);
    }
}

} // namespace

#define PRODUCT(name, T, type, to)                                                                                                 \
    extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT)                                                                \
        name##_##type(const T *weights, const T *input, int inputs, int outputs, int conversations, void *output) {                \
        product<T, To::to>(weights, input, inputs, outputs, conversations, output);                                                \
    }

#define KERNELS(T, type)                                                                                                           \
    extern "C" __global__ void __launch_bounds__(NORMING)                                                                          \
        norm_##type(const float *stream, const T *weight, float eps, int width, T *to) {                                           \
        norm(stream, weight, eps, width, to);                                                                                      \
    }                                                                                                                              \
    PRODUCT(project, T, type, Rows)                                                                                                \
    PRODUCT(add, T, type, Sum)                                                                                                     \
    PRODUCT(expand, T, type, Gated)                                                                                                \
    PRODUCT(logits, T, type, Logits)                                                                                               \
    extern "C" __global__ void __launch_bounds__(READERS)                                                                          \
        attend_##type(const T *projected, Memories memories, const float *slopes, int groups, int size, T *mixed) {                \
        attend<T>(projected, memories, slopes, groups, size, mixed);                                                               \
    }

KERNELS(__half, f16)
KERNELS(__nv_bfloat16, bf16)
