// Config values that are words: enums and the spelling of each value.
#pragma once
#include "base/activation.h"
#include "base/enum_names.h"

namespace sluice {

#define SLUICE_ENUM_NAMES(Enum, ...)                                         \
    template <>                                                              \
    struct EnumNames<Enum> {                                                 \
        static constexpr std::pair<const char*, Enum> all[] = {__VA_ARGS__}; \
    }

enum class Device { automatic, cpu, cuda };
SLUICE_ENUM_NAMES(Device, {"auto", Device::automatic}, {"cpu", Device::cpu}, {"cuda", Device::cuda});
enum class Communicator { automatic, nccl, staged };
SLUICE_ENUM_NAMES(Communicator, {"auto", Communicator::automatic}, {"nccl", Communicator::nccl},
                  {"staged", Communicator::staged});
enum class Scaling { none, linear, yarn };
SLUICE_ENUM_NAMES(Scaling, {"none", Scaling::none}, {"linear", Scaling::linear}, {"yarn", Scaling::yarn});
enum class AttentionKind { softmax, rela };
SLUICE_ENUM_NAMES(AttentionKind, {"softmax", AttentionKind::softmax}, {"rela", AttentionKind::rela});
enum class SdpaNorm { none, rmsnorm };
SLUICE_ENUM_NAMES(SdpaNorm, {"none", SdpaNorm::none}, {"rmsnorm", SdpaNorm::rmsnorm});
enum class SdpaActivation { none, silu };
SLUICE_ENUM_NAMES(SdpaActivation, {"none", SdpaActivation::none}, {"silu", SdpaActivation::silu});
enum class Position { query, key, value, sdpa, output };
SLUICE_ENUM_NAMES(Position, {"query", Position::query}, {"key", Position::key}, {"value", Position::value},
                  {"sdpa", Position::sdpa}, {"output", Position::output});
enum class Granularity { elementwise, headwise };
SLUICE_ENUM_NAMES(Granularity, {"elementwise", Granularity::elementwise}, {"headwise", Granularity::headwise});
enum class HeadSharing { specific, shared, averaged };
SLUICE_ENUM_NAMES(HeadSharing, {"specific", HeadSharing::specific}, {"shared", HeadSharing::shared},
                  {"averaged", HeadSharing::averaged});
enum class GateInput { hidden, none };
SLUICE_ENUM_NAMES(GateInput, {"hidden", GateInput::hidden}, {"none", GateInput::none});
enum class RankActivation { none, silu };
SLUICE_ENUM_NAMES(RankActivation, {"none", RankActivation::none}, {"silu", RankActivation::silu});
enum class SwitchTarget { none, v, kv };
SLUICE_ENUM_NAMES(SwitchTarget, {"none", SwitchTarget::none}, {"v", SwitchTarget::v}, {"kv", SwitchTarget::kv});
enum class Balance { global_batch, micro_batch, bias, none };
SLUICE_ENUM_NAMES(Balance, {"global_batch", Balance::global_batch}, {"micro_batch", Balance::micro_batch},
                  {"bias", Balance::bias}, {"none", Balance::none});
enum class AttentionBy { automatic, own };
SLUICE_ENUM_NAMES(AttentionBy, {"auto", AttentionBy::automatic}, {"own", AttentionBy::own});
enum class Precision { fp32, bf16 };
SLUICE_ENUM_NAMES(Precision, {"fp32", Precision::fp32}, {"bf16", Precision::bf16});
enum class Recompute { none, ffn, attention, block };
SLUICE_ENUM_NAMES(Recompute, {"none", Recompute::none}, {"ffn", Recompute::ffn}, {"attention", Recompute::attention},
                  {"block", Recompute::block});
enum class OptimizerKind { adamw, muon };
SLUICE_ENUM_NAMES(OptimizerKind, {"adamw", OptimizerKind::adamw}, {"muon", OptimizerKind::muon});
enum class ScheduleKind { cosine, linear, wsd, constant };
SLUICE_ENUM_NAMES(ScheduleKind, {"cosine", ScheduleKind::cosine}, {"linear", ScheduleKind::linear},
                  {"wsd", ScheduleKind::wsd}, {"constant", ScheduleKind::constant});
enum class SpikeAction { none, skip, rewind };
SLUICE_ENUM_NAMES(SpikeAction, {"none", SpikeAction::none}, {"skip", SpikeAction::skip},
                  {"rewind", SpikeAction::rewind});
#undef SLUICE_ENUM_NAMES

}  // namespace sluice
