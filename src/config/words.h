// Config values that are words: enums and the spelling of each value.
#pragma once
#include "base/activation.h"
#include "base/words.h"

namespace sluice {

#define SLUICE_WORDS(Enum, ...)                                              \
    template <>                                                              \
    struct Words<Enum> {                                                     \
        static constexpr std::pair<const char*, Enum> all[] = {__VA_ARGS__}; \
    }

enum class Device { automatic, cpu, cuda };
SLUICE_WORDS(Device, {"auto", Device::automatic}, {"cpu", Device::cpu}, {"cuda", Device::cuda});
enum class Scaling { none, linear, yarn };
SLUICE_WORDS(Scaling, {"none", Scaling::none}, {"linear", Scaling::linear}, {"yarn", Scaling::yarn});
enum class AttentionKind { softmax, rela };
SLUICE_WORDS(AttentionKind, {"softmax", AttentionKind::softmax}, {"rela", AttentionKind::rela});
enum class SdpaNorm { none, rmsnorm };
SLUICE_WORDS(SdpaNorm, {"none", SdpaNorm::none}, {"rmsnorm", SdpaNorm::rmsnorm});
enum class SdpaActivation { none, silu };
SLUICE_WORDS(SdpaActivation, {"none", SdpaActivation::none}, {"silu", SdpaActivation::silu});
enum class Position { query, key, value, sdpa, output };
SLUICE_WORDS(Position, {"query", Position::query}, {"key", Position::key}, {"value", Position::value},
             {"sdpa", Position::sdpa}, {"output", Position::output});
enum class Granularity { elementwise, headwise };
SLUICE_WORDS(Granularity, {"elementwise", Granularity::elementwise}, {"headwise", Granularity::headwise});
enum class HeadSharing { specific, shared, averaged };
SLUICE_WORDS(HeadSharing, {"specific", HeadSharing::specific}, {"shared", HeadSharing::shared},
             {"averaged", HeadSharing::averaged});
enum class GateInput { hidden, none };
SLUICE_WORDS(GateInput, {"hidden", GateInput::hidden}, {"none", GateInput::none});
enum class SwitchTarget { none, v, kv };
SLUICE_WORDS(SwitchTarget, {"none", SwitchTarget::none}, {"v", SwitchTarget::v}, {"kv", SwitchTarget::kv});
enum class Balance { global_batch, micro_batch, bias, none };
SLUICE_WORDS(Balance, {"global_batch", Balance::global_batch}, {"micro_batch", Balance::micro_batch},
             {"bias", Balance::bias}, {"none", Balance::none});
enum class Precision { fp32, bf16 };
SLUICE_WORDS(Precision, {"fp32", Precision::fp32}, {"bf16", Precision::bf16});
enum class Recompute { none, ffn, attention, block };
SLUICE_WORDS(Recompute, {"none", Recompute::none}, {"ffn", Recompute::ffn}, {"attention", Recompute::attention},
             {"block", Recompute::block});
enum class OptimizerKind { adamw, muon };
SLUICE_WORDS(OptimizerKind, {"adamw", OptimizerKind::adamw}, {"muon", OptimizerKind::muon});
enum class ScheduleKind { cosine, linear, wsd, constant };
SLUICE_WORDS(ScheduleKind, {"cosine", ScheduleKind::cosine}, {"linear", ScheduleKind::linear},
             {"wsd", ScheduleKind::wsd}, {"constant", ScheduleKind::constant});
#undef SLUICE_WORDS

}  // namespace sluice
