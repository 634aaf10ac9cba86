#include "launch/search_report.h"

#include <array>
#include <boost/json/array.hpp>
#include <cmath>
#include <cstdio>
#include <utility>

#include "launch/number_text.h"

namespace trireme::launch {
namespace {

namespace json = boost::json;

/// Nothing else was chosen where a mesh falls.
bool is_of_mesh(Obstacle obstacle) {
  return obstacle != Obstacle::memory && obstacle != Obstacle::microbatches;
}

std::string mesh_text(const parallel::Mesh& mesh) {
  return "tp " + std::to_string(mesh.tp) + " x dp " + std::to_string(mesh.dp) + " x pp " + std::to_string(mesh.pp);
}

std::string percent(double part) {
  return fixed_text(100 * part, 1) + "%";
}

std::string row(const std::array<std::string, 4>& cells, const std::string& last) {
  std::string text;
  for (const std::string& cell : cells) {
    std::array<char, 32> padded{};
    std::snprintf(padded.data(), padded.size(), "%12s", cell.c_str());
    text += padded.data();
  }
  return text + "  " + last + "\n";
}

std::string plan_row(const LayoutPlan& plan) {
  const bool is_timed = plan.tokens_per_second > 0;
  return row({is_timed ? grouped(std::llround(plan.tokens_per_second)) : "-", plan.mfu > 0 ? percent(plan.mfu) : "-",
              is_timed ? percent(plan.time.bubble_fraction) : "-", bytes_text(plan.needed_bytes())},
             choice_text({plan.layout, plan.recompute}));
}

std::string fallen_line(const FallenLayouts& group) {
  const Candidate& nearest = group.nearest;
  const bool of_mesh = is_of_mesh(nearest.obstacle);
  const std::string count = of_mesh ? counted(group.count, "mesh", "meshes")
                                    : grouped(group.count) + (group.count == 1 ? " layout" : " layouts");
  std::array<char, 32> padded{};
  std::snprintf(padded.data(), padded.size(), "%18s", count.c_str());
  return std::string(padded.data()) + "  " + nearest.reason + ": " +
         (of_mesh ? mesh_text(nearest.choice.layout.mesh) : choice_text(nearest.choice)) + "\n";
}

json::object choice_json(const LayoutChoice& choice) {
  json::object object = layout_json(choice.layout);
  object["microbatch_size"] = choice.layout.microbatch_size;
  object["microbatches"] = choice.layout.microbatches;
  object["recompute"] = with_choice({}, choice).recompute;
  return object;
}

json::object plan_json(const LayoutPlan& plan) {
  const LayoutChoice choice{plan.layout, plan.recompute};
  return {{"layout", choice_json(choice)},
          {"options", choice_words(choice)},
          {"needed_bytes", plan.needed_bytes()},
          {"step_seconds", plan.time.step_seconds},
          {"tokens_per_second", plan.tokens_per_second},
          {"mfu", plan.mfu},
          {"hfu", plan.hfu},
          {"bubble_fraction", plan.time.bubble_fraction}};
}

json::object fallen_json(const FallenLayouts& group) {
  const Candidate& nearest = group.nearest;
  json::object object{{"obstacle", name(nearest.obstacle)}, {"count", group.count}, {"nearest_reason", nearest.reason}};
  if (is_of_mesh(nearest.obstacle)) {
    const parallel::Mesh& mesh = nearest.choice.layout.mesh;
    object["nearest"] = {{"tp", mesh.tp}, {"dp", mesh.dp}, {"pp", mesh.pp}};
  } else {
    object["nearest"] = choice_json(nearest.choice);
  }
  return object;
}

}  // namespace

std::string choice_text(const LayoutChoice& choice) {
  const Layout& layout = choice.layout;
  return layout_text(layout_json(layout)) + ", " + counted(layout.microbatches, "microbatch", "microbatches") + " of " +
         counted(layout.microbatch_size, "sequence") + ", recompute " + with_choice({}, choice).recompute;
}

std::string search_table(const LayoutSearch& search, const SearchQuestion& question) {
  std::string text = grouped(search.layouts) + " layouts of " + counted(question.ranks, "rank") + ", " +
                     grouped(search.fitting) + " fit in " + bytes_text(question.memory_bytes) + " a rank (" +
                     question.memory_source + ")\n";
  if (!search.best.empty()) text += row({"tokens/s", "mfu", "bubble", "a rank"}, "the best of them");
  for (const LayoutPlan& plan : search.best) text += plan_row(plan);
  if (!search.fallen.empty()) text += "fell, and what came nearest to fitting:\n";
  for (const FallenLayouts& group : search.fallen) text += fallen_line(group);
  if (search.best.empty()) return text;
  const LayoutPlan& winner = search.best.front();
  return text + "options of the best for train: " + choice_words({winner.layout, winner.recompute}) + "\n";
}

json::object to_json(const LayoutSearch& search, const SearchQuestion& question) {
  json::array best;
  for (const LayoutPlan& plan : search.best) best.push_back(plan_json(plan));
  json::array fallen;
  for (const FallenLayouts& group : search.fallen) fallen.push_back(fallen_json(group));
  return {{"ranks", question.ranks},
          {"memory_bytes", question.memory_bytes},
          {"memory_source", question.memory_source},
          {"layouts", search.layouts},
          {"fitting", search.fitting},
          {"best", std::move(best)},
          {"fallen", std::move(fallen)}};
}

}  // namespace trireme::launch
