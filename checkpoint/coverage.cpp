#include "checkpoint/coverage.h"

#include <algorithm>
#include <map>
#include <utility>

namespace trireme::checkpoint {
namespace {

using TensorKey = std::pair<std::string_view, std::string_view>;  // (name, kind)

// Also says whether the byte count is that of the box.
std::string box_problem(const StoredTensor& tensor, const StoredSlice& slice) {
  const parallel::Box& box = slice.box;
  bool inside =
      !box.start.empty() && box.start.size() == tensor.global_shape.size() && box.size.size() == box.start.size();
  for (size_t axis = 0; inside && axis < box.start.size(); ++axis) {
    inside =
        box.start[axis] >= 0 && box.size[axis] > 0 && box.start[axis] + box.size[axis] <= tensor.global_shape[axis];
  }
  if (!inside)
    return "its slice " + to_string(box) + " is not a part of " + to_string(parallel::whole(tensor.global_shape));
  const int64_t bytes = box.elements() * runtime::size_bytes(tensor.dtype);
  if (slice.bytes != bytes) {
    return "its slice " + to_string(box) + " has " + std::to_string(slice.bytes) + " bytes, not " +
           std::to_string(bytes);
  }
  return "";
}

// Boxes inside the tensor that are disjoint and have as many elements as it cover each element once.
void check_tensor(const StoredTensor& tensor, std::vector<const StoredSlice*>& slices,
                  std::vector<std::string>& problems) {
  const std::string title = tensor_title(tensor.name, tensor.kind) + ": ";
  if (tensor.global_shape.empty()) {
    problems.push_back(title + "it has no axes; a single value has the shape [1]");
    return;
  }
  int64_t elements = 0;
  for (const StoredSlice* slice : slices) {
    if (const std::string problem = box_problem(tensor, *slice); !problem.empty()) {
      problems.push_back(title + problem);
      return;
    }
    elements += slice->box.elements();
  }
  std::ranges::sort(slices, {}, [](const StoredSlice* slice) { return slice->box.start; });
  for (size_t i = 0; i < slices.size(); ++i) {
    const parallel::Box& box = slices[i]->box;
    // Sorted by the first axis: only those that begin before this one ends can meet it.
    for (size_t j = i + 1; j < slices.size() && slices[j]->box.start[0] < box.start[0] + box.size[0]; ++j) {
      if (intersect(box, slices[j]->box)) {
        problems.push_back(title + "its slices " + to_string(box) + " and " + to_string(slices[j]->box) + " overlap");
        return;
      }
    }
  }
  const int64_t expected = parallel::whole(tensor.global_shape).elements();
  if (elements != expected) {
    problems.push_back(title + std::to_string(expected - elements) + " of " + std::to_string(expected) +
                       " elements are in no slice");
  }
}

}  // namespace

std::vector<std::string> coverage_problems(const Manifest& manifest) {
  std::vector<std::string> problems;
  std::map<TensorKey, std::vector<const StoredSlice*>> slices;
  for (const StoredSlice& slice : manifest.slices) slices[{slice.tensor, slice.kind}].push_back(&slice);
  for (const StoredTensor& tensor : manifest.tensors) {
    auto found = slices.extract(TensorKey{tensor.name, tensor.kind});
    std::vector<const StoredSlice*> none;
    check_tensor(tensor, found.empty() ? none : found.mapped(), problems);
  }
  for (const auto& [key, rest] : slices) {
    problems.push_back(tensor_title(key.first, key.second) + ": has slices but is not in the list of tensors");
  }
  return problems;
}

}  // namespace trireme::checkpoint
