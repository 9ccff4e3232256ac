// oneDNN's matmul primitive for one shape, of fp32 or bf16 operands into fp32. It is made once a shape and thread
// (ranks may be threads of one process) and used again.
#pragma once
#include <oneapi/dnnl/dnnl.hpp>

#include "base/check.h"
#include "kernels/gemm_shape.h"

namespace sluice {

class OnednnMatmul {
 public:
    OnednnMatmul(const GemmShape& g, dnnl::memory::data_type operands) : OnednnMatmul(make(g, operands)) {}

    void run(float* c, const void* a, const void* b) {
        a_.set_data_handle(const_cast<void*>(a));
        b_.set_data_handle(const_cast<void*>(b));
        c_.set_data_handle(c);
        // The C call: its C++ wrapper allocates.
        const dnnl_exec_arg_t arguments[] = {
            {DNNL_ARG_SRC, a_.get()}, {DNNL_ARG_WEIGHTS, b_.get()}, {DNNL_ARG_DST, c_.get()}};
        check(dnnl_primitive_execute(matmul_.get(), stream().get(), 3, arguments) == dnnl_success, "oneDNN's matmul");
    }

 private:
    using Memory = dnnl::memory;

    static dnnl::engine& engine() {
        thread_local dnnl::engine engine(dnnl::engine::kind::cpu, 0);
        return engine;
    }
    static dnnl::stream& stream() {
        thread_local dnnl::stream stream(engine());
        return stream;
    }
    static dnnl::matmul::primitive_desc make(const GemmShape& g, Memory::data_type operands) {
        const auto matrix = [](int64_t rows, int64_t columns, Memory::data_type type, bool transposed) {
            return Memory::desc({rows, columns}, type, transposed ? Memory::dims{1, rows} : Memory::dims{columns, 1});
        };
        dnnl::primitive_attr attributes;
        if (g.accumulate) {
            dnnl::post_ops sum;
            sum.append_sum(1.0f);
            attributes.set_post_ops(sum);
        }
        return {dnnl::matmul::desc(matrix(g.m, g.k, operands, g.transpose_a), matrix(g.k, g.n, operands, g.transpose_b),
                                   matrix(g.m, g.n, Memory::data_type::f32, false)),
                attributes, engine()};
    }
    explicit OnednnMatmul(const dnnl::matmul::primitive_desc& desc)
        : matmul_(desc),
          a_(desc.src_desc(), engine(), nullptr),
          b_(desc.weights_desc(), engine(), nullptr),
          c_(desc.dst_desc(), engine(), nullptr) {}

    dnnl::matmul matmul_;
    Memory a_, b_, c_;
};

}  // namespace sluice
