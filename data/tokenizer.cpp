#include "data/tokenizer.h"

#include <boost/json/serialize.hpp>

#include "data/byte_tokenizer.h"
#include "runtime/digest.h"
#include "runtime/error.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;

std::string Tokenizer::digest() const {
  return tokenizer_digest(description());
}

std::string tokenizer_digest(const boost::json::object& description) {
  return runtime::sha256(boost::json::serialize(description));
}

std::unique_ptr<Tokenizer> make_tokenizer(const boost::json::object& description) {
  const boost::json::value* kind = description.if_contains("kind");
  if (kind == nullptr || !kind->is_string()) {
    throw Error(ErrorKind::data, "the tokenizer's description " + boost::json::serialize(description) +
                                     " has no \"kind\": was it written by another program?");
  }
  if (kind->get_string() == "byte") return std::make_unique<ByteTokenizer>();
  throw Error(ErrorKind::data, "unknown tokenizer kind \"" + std::string(kind->get_string().c_str()) +
                                   "\": this version of trireme knows byte");
}

std::unique_ptr<Tokenizer> tokenizer_from_option(std::string_view option) {
  if (option == "byte") return std::make_unique<ByteTokenizer>();
  throw Error(ErrorKind::usage, "--tokenizer " + std::string(option) + ": there is no such tokenizer; use byte");
}

}  // namespace trireme::data
