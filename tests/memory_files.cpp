#include "tests/memory_files.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <random>
#include <unordered_map>
#include <utility>

#include "runtime/error.h"

namespace trireme::tests {
namespace {

using runtime::Error;
using runtime::ErrorKind;
using Lock = std::lock_guard<std::mutex>;

Error io_error(const std::string& doing, const std::string& path, int error_number) {
  return {ErrorKind::io, "cannot " + doing + " " + path + ": " + runtime::system_message(error_number)};
}

std::vector<std::string> parts_of(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    const size_t slash = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, slash);
    path.remove_prefix(std::min(slash + 1, path.size()));
    if (part == ".." && !parts.empty()) parts.pop_back();
    if (!part.empty() && part != "." && part != "..") parts.emplace_back(part);
  }
  return parts;
}

}  // namespace

/// A file or a directory. One that was removed lives on while an open file or a durable entry holds it.
struct MemoryFiles::Node {
  using Entries = std::map<std::string, std::shared_ptr<Node>>;
  struct Change {
    std::vector<std::pair<std::string, std::shared_ptr<Node>>> entries;  ///< null: the name goes
    uint64_t rename = 0;  ///< the same number in both directories of a rename between two
  };

  bool is_directory = false;
  std::vector<std::byte> bytes;  ///< of a file
  std::vector<std::byte> durable_bytes;
  bool is_synced = true;  ///< bytes == durable_bytes
  Entries entries;        ///< of a directory
  Entries durable_entries;
  std::vector<Change> changes;  ///< that lead from durable_entries to entries

  static void apply(const Change& change, Entries& to) {
    for (const auto& [name, node] : change.entries) {
      if (node == nullptr) {
        to.erase(name);
      } else {
        to[name] = node;
      }
    }
  }
  void add(Change change) {
    apply(change, entries);
    changes.push_back(std::move(change));
  }
  void sync_entries() {
    for (const Change& change : changes) apply(change, durable_entries);
    changes.clear();
  }
};

/// Where a path leads: its directory (null: it is the root), the name in it, and what is there, null if nothing.
struct MemoryFiles::Place {
  std::shared_ptr<Node> parent;
  std::string name;
  std::shared_ptr<Node> node;
};

class MemoryFiles::OpenFile : public runtime::File {
 public:
  OpenFile(std::mutex& mutex, std::string path, std::shared_ptr<Node> node, bool writable)
      : mutex_(mutex), path_(std::move(path)), node_(std::move(node)), writable_(writable) {}

  int64_t size_bytes() override {
    const Lock lock(mutex_);
    return std::ssize(node_->bytes);
  }
  void read_at(int64_t offset, std::span<std::byte> bytes) override {
    const Lock lock(mutex_);
    const int64_t end = offset + std::ssize(bytes);
    if (end > std::ssize(node_->bytes)) {
      throw Error(ErrorKind::data, path_ + " ends after " + std::to_string(node_->bytes.size()) +
                                       " bytes; bytes up to " + std::to_string(end) + " were expected");
    }
    std::copy_n(node_->bytes.begin() + offset, bytes.size(), bytes.begin());
  }
  void append(std::span<const std::byte> bytes) override { write_at(size_bytes(), bytes); }
  void write_at(int64_t offset, std::span<const std::byte> bytes) override {
    const Lock lock(mutex_);
    begin_change("write");
    const size_t end = static_cast<size_t>(offset) + bytes.size();
    if (end > node_->bytes.size()) node_->bytes.resize(end);
    std::ranges::copy(bytes, node_->bytes.begin() + offset);
  }
  void resize(int64_t bytes) override {
    const Lock lock(mutex_);
    begin_change("resize");
    node_->bytes.resize(static_cast<size_t>(bytes));
  }
  void start_sync() override {}
  void sync() override {
    const Lock lock(mutex_);
    if (!node_->is_synced) node_->durable_bytes = node_->bytes;
    node_->is_synced = true;
  }

 private:
  void begin_change(const char* doing) {
    if (!writable_) throw io_error(doing, path_, EBADF);
    node_->is_synced = false;
  }

  std::mutex& mutex_;
  std::string path_;
  std::shared_ptr<Node> node_;
  bool writable_;
};

/// Copies a tree as a crash leaves it. A node that two names lead to is one node in the copy too.
struct MemoryFiles::Survivors {
  Crash crash;
  std::mt19937_64 random;
  std::unordered_map<const Node*, std::shared_ptr<Node>> copies = {};
  std::map<uint64_t, bool> kept_renames = {};

  std::shared_ptr<Node> copy(const std::shared_ptr<Node>& node) {
    if (node == nullptr) return nullptr;
    std::shared_ptr<Node>& made = copies[node.get()];
    if (made != nullptr) return made;
    made = std::make_shared<Node>(*node);
    if (crash != Crash::process_death && node->is_directory) lose_changes(*made);
    if (crash != Crash::process_death && !node->is_synced) lose_content(*made);
    for (Node::Entries* entries : {&made->entries, &made->durable_entries}) {
      for (auto& [name, entry] : *entries) entry = copy(entry);
    }
    for (Node::Change& change : made->changes) {
      for (auto& [name, entry] : change.entries) entry = copy(entry);
    }
    return made;
  }

  void lose_changes(Node& directory) {
    for (const Node::Change& change : directory.changes) {
      if (crash == Crash::power_loss_mixed && is_kept(change)) Node::apply(change, directory.durable_entries);
    }
    directory.changes.clear();
    directory.entries = directory.durable_entries;
  }

  bool is_kept(const Node::Change& change) {
    const bool kept = random() % 2 == 0;
    return change.rename == 0 ? kept : kept_renames.try_emplace(change.rename, kept).first->second;
  }

  void lose_content(Node& file) {
    const auto same = std::ranges::mismatch(file.bytes, file.durable_bytes).in1 - file.bytes.begin();
    const uint64_t at_risk = file.bytes.size() - static_cast<size_t>(same);
    const auto place = [&] { return same + static_cast<int64_t>(at_risk == 0 ? 0 : random() % at_risk); };
    switch (crash == Crash::power_loss ? 1 : random() % 4) {
      case 0:
        break;
      case 1:
        file.bytes = file.durable_bytes;
        break;
      case 2:
        file.bytes.resize(static_cast<size_t>(place()));
        break;
      default: {
        const auto [begin, end] = std::minmax({place(), place()});
        std::fill(file.bytes.begin() + begin, file.bytes.begin() + end, std::byte{0});
      }
    }
    file.durable_bytes = file.bytes;
    file.is_synced = true;
  }
};

MemoryFiles::MemoryFiles() : root_(std::make_shared<Node>()) {
  root_->is_directory = true;
}

MemoryFiles::~MemoryFiles() = default;

std::unique_ptr<MemoryFiles> MemoryFiles::after(Crash crash, uint64_t seed) {
  const Lock lock(mutex_);
  Survivors survivors{.crash = crash, .random = std::mt19937_64(seed)};
  auto left = std::make_unique<MemoryFiles>();
  left->root_ = survivors.copy(root_);
  left->renames_ = renames_;
  return left;
}

std::shared_ptr<MemoryFiles::Node> MemoryFiles::find(const std::string& path) const {
  std::shared_ptr<Node> node = root_;
  for (const std::string& part : parts_of(path)) {
    const auto found = node->entries.find(part);
    if (found == node->entries.end()) return nullptr;
    node = found->second;
  }
  return node;
}

MemoryFiles::Place MemoryFiles::place_of(const std::string& path, const char* doing, const std::string& named) const {
  Place place{nullptr, "", root_};
  for (const std::string& part : parts_of(path)) {
    if (place.node == nullptr) throw io_error(doing, named, ENOENT);
    if (!place.node->is_directory) throw io_error(doing, named, ENOTDIR);
    const auto found = place.node->entries.find(part);
    const std::shared_ptr<Node> next = found == place.node->entries.end() ? nullptr : found->second;
    place = {std::exchange(place.node, nullptr), part, next};
  }
  return place;
}

std::shared_ptr<MemoryFiles::Node> MemoryFiles::directory(const std::string& path, const char* doing) const {
  const Place place = place_of(path, doing, path);
  if (place.node == nullptr) throw io_error(doing, path, ENOENT);
  if (!place.node->is_directory) throw io_error(doing, path, ENOTDIR);
  return place.node;
}

std::unique_ptr<runtime::File> MemoryFiles::open(const std::string& path) {
  return open_existing(path, false);
}

std::unique_ptr<runtime::File> MemoryFiles::open_for_writing(const std::string& path) {
  return open_existing(path, true);
}

std::unique_ptr<runtime::File> MemoryFiles::open_existing(const std::string& path, bool is_writable) {
  const Lock lock(mutex_);
  const Place place = place_of(path, "open", path);
  if (place.node == nullptr) throw io_error("open", path, ENOENT);
  if (place.node->is_directory) throw io_error("open", path, EISDIR);
  return std::make_unique<OpenFile>(mutex_, path, place.node, is_writable);
}

std::unique_ptr<runtime::File> MemoryFiles::create(const std::string& path) {
  const Lock lock(mutex_);
  const Place place = place_of(path, "create", path);
  if (place.node != nullptr) throw io_error("create", path, EEXIST);
  const auto made = std::make_shared<Node>();
  place.parent->add({{{place.name, made}}});
  return std::make_unique<OpenFile>(mutex_, path, made, true);
}

bool MemoryFiles::exists(const std::string& path) {
  const Lock lock(mutex_);
  return find(path) != nullptr;
}

bool MemoryFiles::is_directory(const std::string& path) {
  const Lock lock(mutex_);
  const std::shared_ptr<Node> node = find(path);
  return node != nullptr && node->is_directory;
}

bool MemoryFiles::is_regular_file(const std::string& path) {
  const Lock lock(mutex_);
  const std::shared_ptr<Node> node = find(path);
  return node != nullptr && !node->is_directory;
}

std::string MemoryFiles::real_path(const std::string& path) {
  const Lock lock(mutex_);
  if (find(path) == nullptr) throw io_error("find", path, ENOENT);
  std::string real;
  for (const std::string& part : parts_of(path)) real += "/" + part;
  return real.empty() ? "/" : real;
}

std::vector<std::string> MemoryFiles::list(const std::string& path) {
  const Lock lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, entry] : directory(path, "list")->entries) names.push_back(name);
  return names;
}

void MemoryFiles::make_directory(const std::string& path) {
  const Lock lock(mutex_);
  std::shared_ptr<Node> node = root_;
  for (const std::string& part : parts_of(path)) {
    if (!node->entries.contains(part)) {
      const auto made = std::make_shared<Node>();
      made->is_directory = true;
      node->add({{{part, made}}});
      node->sync_entries();
    }
    node = node->entries.at(part);
    if (!node->is_directory) throw io_error("create the directory", path, ENOTDIR);
  }
}

void MemoryFiles::rename(const std::string& from, const std::string& to) {
  const Lock lock(mutex_);
  const std::string doing = "rename " + from + " to";
  const Place source = place_of(from, doing.c_str(), to);
  const Place target = place_of(to, doing.c_str(), to);
  if (source.node == nullptr) throw io_error(doing, to, ENOENT);
  if (source.parent == nullptr || target.parent == nullptr) throw io_error(doing, to, EBUSY);
  if (target.node == source.node) return;
  if (target.node != nullptr && target.node->is_directory != source.node->is_directory) {
    throw io_error(doing, to, target.node->is_directory ? EISDIR : ENOTDIR);
  }
  if (target.node != nullptr && !target.node->entries.empty()) throw io_error(doing, to, ENOTEMPTY);
  if (source.parent == target.parent) {
    source.parent->add({{{source.name, nullptr}, {target.name, source.node}}});
  } else {
    renames_ += 1;
    target.parent->add({{{target.name, source.node}}, renames_});
    source.parent->add({{{source.name, nullptr}}, renames_});
  }
}

void MemoryFiles::remove_all(const std::string& path) {
  const Lock lock(mutex_);
  if (find(path + "/..") == nullptr) return;
  const Place place = place_of(path, "remove", path);
  if (place.parent == nullptr) throw io_error("remove", path, EBUSY);
  if (place.node != nullptr) place.parent->add({{{place.name, nullptr}}});
}

void MemoryFiles::sync_directory(const std::string& path) {
  const Lock lock(mutex_);
  directory(path, "open the directory")->sync_entries();
}

}  // namespace trireme::tests
