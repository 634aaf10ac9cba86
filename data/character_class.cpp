#include "data/character_class.h"

#include <unicode/uchar.h>

#include <algorithm>

namespace trireme::data {
namespace {

uint8_t class_of_category(UCharCategory category) {
  const uint32_t mask = U_MASK(category);
  if ((mask & (U_GC_LU_MASK | U_GC_LT_MASK)) != 0) return kUpperClass;
  if ((mask & U_GC_LL_MASK) != 0) return kLowerClass;
  if ((mask & U_GC_L_MASK) != 0) return kCaselessClass;
  if ((mask & U_GC_M_MASK) != 0) return kMarkClass;
  if ((mask & U_GC_N_MASK) != 0) return kNumberClass;
  if ((mask & U_GC_Z_MASK) != 0) return kBlankClass;  // Zs, Zl, Zp are White_Space, all of them
  return kOtherClass;
}

UBool fill_range(const void* table, UChar32 begin, UChar32 end, UCharCategory category) {
  const uint8_t value = class_of_category(category);
  auto* classes = static_cast<uint8_t*>(const_cast<void*>(table));
  if (value != kOtherClass) std::fill(classes + begin, classes + end, value);
  return true;
}

struct Range {
  UChar32 first;
  UChar32 last;
  uint8_t value;
};
/// What Unicode 15.1 and 16.0 added to 15.0 (DerivedGeneralCategory.txt): ICU 72 does not know it yet.
constexpr Range kAddedSince15[] = {
    {0x897, 0x897, kMarkClass},         {0x1C89, 0x1C89, kUpperClass},      {0x1C8A, 0x1C8A, kLowerClass},
    {0xA7CB, 0xA7CC, kUpperClass},      {0xA7CD, 0xA7CD, kLowerClass},      {0xA7DA, 0xA7DA, kUpperClass},
    {0xA7DB, 0xA7DB, kLowerClass},      {0xA7DC, 0xA7DC, kUpperClass},      {0x105C0, 0x105F3, kCaselessClass},
    {0x10D40, 0x10D49, kNumberClass},   {0x10D4A, 0x10D4F, kCaselessClass}, {0x10D50, 0x10D65, kUpperClass},
    {0x10D69, 0x10D6D, kMarkClass},     {0x10D6F, 0x10D6F, kCaselessClass}, {0x10D70, 0x10D85, kLowerClass},
    {0x10EC2, 0x10EC4, kCaselessClass}, {0x10EFC, 0x10EFC, kMarkClass},     {0x11380, 0x11389, kCaselessClass},
    {0x1138B, 0x1138B, kCaselessClass}, {0x1138E, 0x1138E, kCaselessClass}, {0x11390, 0x113B5, kCaselessClass},
    {0x113B7, 0x113B7, kCaselessClass}, {0x113B8, 0x113C0, kMarkClass},     {0x113C2, 0x113C2, kMarkClass},
    {0x113C5, 0x113C5, kMarkClass},     {0x113C7, 0x113CA, kMarkClass},     {0x113CC, 0x113D0, kMarkClass},
    {0x113D1, 0x113D1, kCaselessClass}, {0x113D2, 0x113D2, kMarkClass},     {0x113D3, 0x113D3, kCaselessClass},
    {0x113E1, 0x113E2, kMarkClass},     {0x116D0, 0x116E3, kNumberClass},   {0x11BC0, 0x11BE0, kCaselessClass},
    {0x11BF0, 0x11BF9, kNumberClass},   {0x11F5A, 0x11F5A, kMarkClass},     {0x13460, 0x143FA, kCaselessClass},
    {0x16100, 0x1611D, kCaselessClass}, {0x1611E, 0x1612F, kMarkClass},     {0x16130, 0x16139, kNumberClass},
    {0x16D40, 0x16D6C, kCaselessClass}, {0x16D70, 0x16D79, kNumberClass},   {0x18CFF, 0x18CFF, kCaselessClass},
    {0x1CCF0, 0x1CCF9, kNumberClass},   {0x1E5D0, 0x1E5ED, kCaselessClass}, {0x1E5EE, 0x1E5EF, kMarkClass},
    {0x1E5F0, 0x1E5F0, kCaselessClass}, {0x1E5F1, 0x1E5FA, kNumberClass},   {0x2EBF0, 0x2EE5D, kCaselessClass}};

}  // namespace

const CharacterTable& CharacterTable::instance() {
  static const CharacterTable table;
  return table;
}

CharacterTable::CharacterTable() : classes_(std::make_unique<uint8_t[]>(kCodePoints)) {
  u_enumCharTypes(fill_range, classes_.get());
  for (uint32_t code_point = 0; code_point < kCodePoints; ++code_point) {  // an ICU that knows more than 16.0
    if (classes_[code_point] == kOtherClass) continue;
    UVersionInfo age;
    u_charAge(static_cast<UChar32>(code_point), age);
    if (age[0] > 16) classes_[code_point] = kOtherClass;
  }
  for (const Range& range : kAddedSince15) {
    std::fill(classes_.get() + range.first, classes_.get() + range.last + 1, range.value);
  }
  for (UChar32 control = 0; control < 0xA0; ++control) {  // white space that is no separator: U+0009..D, U+0085
    if (u_isUWhiteSpace(control)) classes_[static_cast<size_t>(control)] = kBlankClass;
  }
  classes_['\r'] = kNewlineClass;
  classes_['\n'] = kNewlineClass;
}

}  // namespace trireme::data
