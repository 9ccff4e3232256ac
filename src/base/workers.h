// Threads that run tasks. Results are taken in the order in which the tasks were given, by the thread that gives them.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

namespace sluice {

template <class Result>
class Workers {
 public:
    explicit Workers(int threads) : capacity_(2 * size_t(threads)) {
        for (int i = 0; i < threads; i++) threads_.emplace_back([this] { work(); });
    }
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;
    ~Workers() {
        {
            const std::lock_guard lock(mutex_);
            ended_ = true;
            tasks_.clear();
        }
        wake_.notify_all();
        for (auto& thread : threads_) thread.join();
    }

    bool full() const { return results_.size() >= capacity_; }  // of tasks whose results were not taken
    bool empty() const { return results_.empty(); }
    void give(std::function<Result()> task) {
        std::packaged_task<Result()> packaged(std::move(task));
        results_.push_back(packaged.get_future());
        {
            const std::lock_guard lock(mutex_);
            tasks_.push_back(std::move(packaged));
        }
        wake_.notify_one();
    }
    // Waits for the oldest task and returns its result, or throws its exception.
    Result take() {
        auto result = std::move(results_.front());
        results_.pop_front();
        return result.get();
    }

 private:
    void work() {
        for (;;) {
            std::unique_lock lock(mutex_);
            wake_.wait(lock, [this] { return ended_ || !tasks_.empty(); });
            if (ended_) return;
            auto task = std::move(tasks_.front());
            tasks_.pop_front();
            lock.unlock();
            task();
        }
    }

    size_t capacity_;
    std::mutex mutex_;
    std::condition_variable wake_;
    bool ended_ = false;
    std::deque<std::packaged_task<Result()>> tasks_;
    std::deque<std::future<Result>> results_;
    std::vector<std::thread> threads_;
};

}  // namespace sluice
