#include "text/sentence_piece_model.h"

#include <cstdint>
#include <functional>
#include <stdexcept>

namespace sluice {
namespace {

// A field of a message. Protocol Buffers store a message as its fields, one after another; the numbers are those of
// sentencepiece_model.proto.
struct Field {
    uint64_t number = 0;      // which field of its message
    uint64_t value = 0;       // of an integer
    std::string_view bytes;   // of a string or a message
    std::string_view stored;  // the whole field as it is stored
};

class Fields {
 public:
    explicit Fields(std::string_view message) : rest_(message) {}
    bool next(Field& field) {
        if (rest_.empty()) return false;
        const std::string_view before = rest_;
        const uint64_t tag = varint();
        field = {tag >> 3, 0, {}, {}};
        switch (tag & 7) {  // the wire type: varint, 8 bytes, bytes with their length, 4 bytes
            case 0:
                field.value = varint();
                break;
            case 1:
                take(8);
                break;
            case 2:
                field.bytes = take(varint());
                break;
            case 5:
                take(4);
                break;
            default:
                throw std::runtime_error("not a SentencePiece model");
        }
        field.stored = before.substr(0, before.size() - rest_.size());
        return true;
    }

 private:
    uint64_t varint() {
        uint64_t value = 0;
        for (int shift = 0; shift < 64; shift += 7) {
            const auto byte = uint8_t(take(1)[0]);
            value |= uint64_t(byte & 0x7F) << shift;
            if (byte < 0x80) return value;
        }
        throw std::runtime_error("not a SentencePiece model");
    }
    std::string_view take(uint64_t bytes) {
        if (bytes > rest_.size()) throw std::runtime_error("a SentencePiece model that is cut off");
        const auto taken = rest_.substr(0, bytes);
        rest_.remove_prefix(bytes);
        return taken;
    }

    std::string_view rest_;
};

void for_each_field(std::string_view message, const std::function<void(const Field&)>& visit) {
    Fields fields(message);
    for (Field field; fields.next(field);) visit(field);
}

SentencePieceModel::Piece read_piece(std::string_view message) {
    SentencePieceModel::Piece piece;
    for_each_field(message, [&](const Field& field) {
        if (field.number == 1) piece.text = field.bytes;
        if (field.number == 3) piece.kind = int(field.value);
    });
    return piece;
}

void read_trainer(std::string_view message, SentencePieceModel& model) {
    for_each_field(message, [&](const Field& field) {
        if (field.number == 3) model.kind = int(field.value);
        if (field.number == 24) model.space_as_suffix = field.value != 0;
        if (field.number == 35) model.byte_fallback = field.value != 0;
    });
}

void read_normaliser(std::string_view message, SentencePieceModel& model) {
    for_each_field(message, [&](const Field& field) {
        if (field.number == 2) model.rules = field.bytes;
        if (field.number == 3) model.dummy_prefix = field.value != 0;
        if (field.number == 4) model.remove_extra_whitespaces = field.value != 0;
    });
}

}  // namespace

SentencePieceModel read_sentence_piece_model(std::string_view file) {
    SentencePieceModel model;
    for_each_field(file, [&](const Field& field) {
        if (field.number == 1) model.pieces.push_back(read_piece(field.bytes));
        if (field.number == 2) read_trainer(field.bytes, model);
        if (field.number == 3) read_normaliser(field.bytes, model);
    });
    return model;
}

std::string without_dummy_prefix(std::string_view file) {
    std::string changed;
    for_each_field(file, [&](const Field& field) {
        constexpr uint64_t kSelfTest = 4;  // whose ids are those of the unchanged model
        if (field.number != kSelfTest) changed += field.stored;
    });
    // The last value of a repeated field counts. This is normalizer_spec (3) {add_dummy_prefix (3): false}.
    return changed += std::string("\x1a\x02\x18\x00", 4);
}

}  // namespace sluice
