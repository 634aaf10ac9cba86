#include "data/cleaning.h"

#include <unicode/uchar.h>

#include <random>

#include "data/safe_cut.h"
#include "data/utf8.h"
#include "runtime/digest.h"
#include "tests/data/prepared_text.h"

namespace trireme::data {
namespace {

std::string cleaned(std::string text, const CleaningOptions& options, bool is_changed) {
  PieceFate fate;
  const std::string before = text;
  clean(text, options, fate);
  EXPECT_EQ(fate.is_changed, is_changed);
  EXPECT_EQ(fate.is_changed, text != before);
  EXPECT_EQ(fate.repairs, 0);
  return text;
}

TEST(Cleaning, DoesNothingUnlessAsked) {
  std::string all;
  for (char32_t character = 0; character < 0x3000; ++character) append_utf8(all, character);
  EXPECT_EQ(cleaned(all, {}, false), all);
}

TEST(Cleaning, RemovesControlsButTabAndLineEnds) {
  const CleaningOptions options{.remove_controls = true};
  EXPECT_EQ(cleaned("a\x01\tb\r\n\x7F"
                    "c\x1B[0m",
                    options, true),
            "a\tb\r\nc[0m");
  EXPECT_EQ(cleaned(std::string("\0\0", 2), options, true), "");
  EXPECT_EQ(cleaned("tab\t, line\n, caf\u00e9\u00a0\u200b", options, false), "tab\t, line\n, caf\u00e9\u00a0\u200b");
  for (char32_t character = 0; character < 0x500; ++character) {
    std::string text = "x";
    append_utf8(text, character);
    const bool is_kept = u_charType(static_cast<UChar32>(character)) != U_CONTROL_CHAR || character == '\t' ||
                         character == '\n' || character == '\r';
    EXPECT_EQ(cleaned(text, options, !is_kept), is_kept ? text : "x") << static_cast<uint32_t>(character);
  }
}

TEST(Cleaning, MakesLineEndsUnix) {
  const CleaningOptions options{.unix_line_ends = true};
  EXPECT_EQ(cleaned("a\r\nb\rc\n\r\n\r\r\nd\r", options, true), "a\nb\nc\n\n\n\nd\n");
  EXPECT_EQ(cleaned("a\nb\n", options, false), "a\nb\n");
}

TEST(Cleaning, StepsComeInTheirOrder) {
  CleaningOptions options{.remove_controls = true, .unix_line_ends = true, .normal_form = NormalForm::nfc};
  EXPECT_EQ(cleaned("a\r\x01\nb", options, true), "a\nb") << "controls before line ends";
  EXPECT_EQ(cleaned("e\x01\u0301", options, true), "\u00e9") << "controls before normal forms";
}

TEST(Cleaning, AppliesTheNormalForm) {
  // UAX #15, figure 6.
  const std::string text = "\uFB01 2\u2075 \u1E9B\u0323";
  EXPECT_EQ(cleaned(text, {.normal_form = NormalForm::nfc}, false), text);
  EXPECT_EQ(cleaned(text, {.normal_form = NormalForm::nfd}, true), "\uFB01 2\u2075 \u017F\u0323\u0307");
  EXPECT_EQ(cleaned(text, {.normal_form = NormalForm::nfkc}, true), "fi 25 \u1E69");
  EXPECT_EQ(cleaned(text, {.normal_form = NormalForm::nfkd}, true), "fi 25 s\u0323\u0307");
  EXPECT_EQ(cleaned("ASCII", {.normal_form = NormalForm::nfkd}, false), "ASCII");
}

TEST(Cleaning, NormalFormsAreThoseOfPython) {
  // SHA-256 over all characters c that Unicode 14 assigns (Python 3.11), surrogates aside, of
  //   unicodedata.normalize(form, "a" + c + "\u0301\u0323").encode() + b"\n".
  // What is assigned keeps its normal forms in all later versions (Unicode's stability policy).
  const std::vector<std::pair<NormalForm, std::string>> expected = {
      {NormalForm::nfc, "1f876c483b3c936934f47fcbd73ade527f5216c9bdd2542b5d9ff445d249e607"},
      {NormalForm::nfd, "a11ec514835adc94a7f0730b2e9ffdff57ee1f8913dbc4367d27067e55f6ab55"},
      {NormalForm::nfkc, "883ab1b4f1f68b1c2b881c69eb4b0df890f55170f6532a9012343311728887a9"},
      {NormalForm::nfkd, "eb4f1b0304f120d47968f4e093d7e084e10218c814abd7cdedb4f3405aea2865"}};
  for (const auto& [form, digest] : expected) {
    std::string all;
    for (UChar32 character = 0; character < 0x110000; ++character) {
      UVersionInfo age;
      u_charAge(character, age);
      const int8_t type = u_charType(character);
      if (age[0] > 14 || type == U_UNASSIGNED || type == U_SURROGATE) continue;
      std::string text = "a";
      append_utf8(text, static_cast<char32_t>(character));
      text += "\u0301\u0323\n";
      all += text;
    }
    PieceFate fate;
    clean(all, {.normal_form = form}, fate);  // \n and a begin anew: all at once is each alone
    EXPECT_EQ(runtime::sha256(all), digest) << name(form);
  }
}

TEST(Cleaning, ANormalFormLeavesBytesThatAreNoUtf8) {
  EXPECT_EQ(cleaned("e\u0301\xFF", {.normal_form = NormalForm::nfc}, true), "\u00e9\xFF");
}

TEST(Cleaning, InPartsCutAtSafePlacesIsThatOfTheWhole) {
  const std::vector<std::string> parts = {
      "a",      "e",      "Z",      " ",      " ",      " t",       "\n",           "\nw",    "\r",           "\r\n",
      "\x01",   "\x7F",   "\u0085", "\u0301", "\u0323", "\u00e9",   "\u1100",       "\u1161", "\u11A8",       "\uFB01",
      "\u017F", "\u00A0", "\u3000", "\u65E5", "\xFF",   "\xE1\x80", "\xF0\x9F\x98", "\xC2",   "\u0627\u0644", "word"};
  std::vector<CleaningOptions> all_options;
  for (const bool controls : {false, true}) {
    for (const bool line_ends : {false, true}) {
      all_options.push_back({.remove_controls = controls, .unix_line_ends = line_ends});
      for (const NormalForm form : {NormalForm::nfc, NormalForm::nfd, NormalForm::nfkc, NormalForm::nfkd}) {
        all_options.push_back({.remove_controls = controls, .unix_line_ends = line_ends, .normal_form = form});
      }
    }
  }
  std::mt19937 random(3);
  int64_t cuts = 0;
  for (int round = 0; round < 400; ++round) {
    std::string text;
    for (int i = 0; i < 60; ++i) text += parts[random() % parts.size()];
    for (const CleaningOptions& options : all_options) {
      const auto whole = [&](std::string part, PieceFate& fate) {
        if (round % 2 == 0) fate.repairs += repair_utf8(part);
        clean(part, options, fate);
        return part;
      };
      PieceFate fate;
      const std::string expected = whole(text, fate);
      for (size_t cut = safe_cut(text); cut > 0; cut = safe_cut(std::string_view(text).substr(0, cut))) {
        PieceFate sum;
        PieceFate second;
        const std::string first = whole(text.substr(0, cut), sum);
        ASSERT_EQ(first + whole(text.substr(cut), second), expected) << testing::PrintToString(text) << " " << cut;
        sum += second;
        ASSERT_EQ(sum.repairs, fate.repairs);
        ASSERT_EQ(sum.is_changed, fate.is_changed);
        ++cuts;
      }
    }
  }
  EXPECT_GT(cuts, 10000);
}

TEST(DocumentFates, AddUp) {
  DocumentFates fates;
  fates.add(Outcome::kept, {});
  fates.add(Outcome::kept, {.repairs = 3, .is_changed = true});
  fates.add(Outcome::kept, {.repairs = 1});
  fates.add(Outcome::empty, {.is_changed = true});
  fates.add(Outcome::duplicate, {.repairs = 5});
  const DocumentFates expected{.kept = 3, .empty = 1, .duplicate = 1, .repaired = 2, .repairs = 4, .changed = 1};
  EXPECT_EQ(fates, expected);
  EXPECT_EQ(fates.documents(), 5);
  fates += expected;
  EXPECT_EQ(fates.documents(), 10);
  EXPECT_EQ(fates, (DocumentFates{.kept = 6, .empty = 2, .duplicate = 2, .repaired = 4, .repairs = 8, .changed = 2}));
}

}  // namespace
}  // namespace trireme::data
