#include "data/cleaning.h"

#include <string_view>
#include <utility>

#include "data/utf8.h"

namespace trireme::data {
namespace {

/// Of the control character (category Cc) other than tab, \n and \r that begins at text[at]; 0: none does.
size_t control_bytes(std::string_view text, size_t at) {
  const unsigned char byte = static_cast<unsigned char>(text[at]);
  if (byte < 0x20 || byte == 0x7F) return byte == '\t' || byte == '\n' || byte == '\r' ? 0 : 1;
  const bool is_c1 = byte == 0xC2 && at + 1 < text.size() && static_cast<unsigned char>(text[at + 1]) >= 0x80 &&
                     static_cast<unsigned char>(text[at + 1]) < 0xA0;
  return is_c1 ? 2 : 0;
}

bool remove_controls(std::string& text) {
  size_t end = 0;  // of what is kept
  for (size_t at = 0; at < text.size();) {
    const size_t control = control_bytes(text, at);
    if (control == 0) text[end++] = text[at++];
    at += control;
  }
  const bool is_changed = end < text.size();
  text.resize(end);
  return is_changed;
}

bool make_line_ends_unix(std::string& text) {
  size_t at = text.find('\r');
  if (at == std::string::npos) return false;
  size_t end = at;
  for (; at < text.size(); ++at) {
    if (text[at] != '\r') {
      text[end++] = text[at];
    } else if (at + 1 == text.size() || text[at + 1] != '\n') {
      text[end++] = '\n';
    }
  }
  text.resize(end);
  return true;
}

bool make_normal(std::string& text, NormalForm form) {
  if (ascii_run(text, 0) == text.size()) return false;  // every form leaves ASCII as it is
  std::string normal = normalize(form, text);
  if (normal == text) return false;
  text = std::move(normal);
  return true;
}

}  // namespace

PieceFate& PieceFate::operator+=(const PieceFate& piece) {
  repairs += piece.repairs;
  is_changed = is_changed || piece.is_changed;
  return *this;
}

void clean(std::string& text, const CleaningOptions& options, PieceFate& fate) {
  const bool less_controls = options.remove_controls && remove_controls(text);
  const bool other_ends = options.unix_line_ends && make_line_ends_unix(text);
  const bool other_form = options.normal_form.has_value() && make_normal(text, *options.normal_form);
  fate.is_changed = fate.is_changed || less_controls || other_ends || other_form;
}

void DocumentFates::add(Outcome outcome, const PieceFate& fate) {
  switch (outcome) {
    case Outcome::empty:
      ++empty;
      return;
    case Outcome::duplicate:
      ++duplicate;
      return;
    case Outcome::kept:
      ++kept;
  }
  repairs += fate.repairs;
  repaired += fate.repairs > 0 ? 1 : 0;
  changed += fate.is_changed ? 1 : 0;
}

DocumentFates& DocumentFates::operator+=(const DocumentFates& other) {
  kept += other.kept;
  empty += other.empty;
  duplicate += other.duplicate;
  repaired += other.repaired;
  repairs += other.repairs;
  changed += other.changed;
  return *this;
}

}  // namespace trireme::data
