// Asynchronous copies into shared memory, and the count of bank conflicts.
#include <algorithm>
#include <array>
#include <cstring>

#include "tests/emulation/block.h"
#include "tests/emulation/emulation.h"

namespace trireme::emulation {

namespace {

int64_t conflicts = 0;

void perform(const PendingCopy& copy) {
  if (copy.source == nullptr) {
    std::memset(copy.target, 0, 16);
  } else {
    std::memcpy(copy.target, copy.source, 16);
  }
}

bool at_once(Block& block) {
  return block.order == ThreadOrder::reverse || (block.order == ThreadOrder::shuffled && block.random()() % 2 == 0);
}

}  // namespace

void start_copy(void* target, const void* source) {
  Block& block = current_block();
  Thread& thread = block.thread();
  const PendingCopy copy{target, source, thread.copy_group};
  if (at_once(block)) {
    perform(copy);
  } else {
    thread.copies.push_back(copy);
  }
}

void commit_copies() {
  ++current_block().thread().copy_group;
}

void wait_for_copies(int pending) {
  Thread& thread = current_block().thread();
  const auto finished = [&](const PendingCopy& copy) { return copy.group < thread.copy_group - pending; };
  for (const PendingCopy& copy : thread.copies)
    if (finished(copy)) perform(copy);
  std::erase_if(thread.copies, finished);
}

/// A row of 16 bytes takes four of the 32 banks: two rows meet where their addresses are equal modulo 128 bytes.
void count_bank_conflicts(const std::array<const void*, 8>& rows) {
  std::array<int, 8> rows_of_bank{};
  for (size_t i = 0; i < rows.size(); ++i) {
    const bool seen = std::find(rows.begin(), rows.begin() + i, rows[i]) != rows.begin() + i;  // one read serves both
    if (!seen) ++rows_of_bank[reinterpret_cast<uintptr_t>(rows[i]) / 16 % 8];
  }
  conflicts += *std::max_element(rows_of_bank.begin(), rows_of_bank.end()) - 1;
}

int64_t bank_conflicts() {
  return conflicts;
}

void reset_bank_conflicts() {
  conflicts = 0;
}

}  // namespace trireme::emulation
