#include "kernels/emu/graph.h"

#include <algorithm>

namespace sluice::emu {

Capture::Branch& Capture::branch_of(const StreamQueue& stream) {
    return *std::find_if(branches_.begin(), branches_.end(), [&](const Branch& b) { return b.stream == &stream; });
}

void Capture::act(Branch& branch, Action action) {
    branch.clock.set(action.branch, ++branch.actions);
    actions_.push_back(std::move(action));
}

void Capture::add(const StreamQueue& stream, Queue queue) {
    Branch& branch = branch_of(stream);
    act(branch, {Action::work, size_t(&branch - branches_.data()), std::move(queue)});
}

std::shared_ptr<CapturedMark> Capture::record(const StreamQueue& stream) {
    Branch& branch = branch_of(stream);
    act(branch, {Action::record, size_t(&branch - branches_.data()), {}, marks_});
    return std::make_shared<CapturedMark>(CapturedMark{this, marks_++, branch.clock});
}

void Capture::wait(StreamQueue& stream, const CapturedMark& mark) {
    if (stream.capture != this) {
        stream.capture = this;
        branches_.push_back({&stream, {}, 0});
    }
    Branch& branch = branch_of(stream);
    branch.clock.join(mark.clock);
    act(branch, {Action::wait, size_t(&branch - branches_.data()), {}, mark.index});
}

bool Capture::joined() const {
    const Clock& origin = branches_.front().clock;
    for (size_t b = 1; b < branches_.size(); b++)
        if (origin.at(b) < branches_[b].actions) return false;
    return true;
}

void Capture::end() {
    for (const Branch& branch : branches_) branch.stream->capture = nullptr;
}

GraphExec::GraphExec(const Graph& graph) : capture_(graph.capture) {
    while (own_.size() + 1 < capture_->branches()) own_.push_back(Device::get().open());
}

GraphExec::~GraphExec() {
    for (StreamQueue* stream : own_) Device::get().close(stream);
}

void GraphExec::launch(StreamQueue& stream) {
    Device& device = Device::get();
    std::vector<std::shared_ptr<Mark>> marks(capture_->marks());
    for (const Capture::Action& action : capture_->actions()) {
        StreamQueue& queue = action.branch == 0 ? stream : *own_[action.branch - 1];
        if (action.kind == Capture::Action::work)
            action.queue(queue);
        else if (action.kind == Capture::Action::record)
            marks[action.mark] = device.record(queue);
        else
            device.queue_wait(queue, marks[action.mark]);
    }
}

}  // namespace sluice::emu
