#include "data/tokenizer.h"

#include <boost/json/serialize.hpp>

#include "runtime/digest.h"

namespace trireme::data {

std::string Tokenizer::digest() const {
  return tokenizer_digest(description());
}

std::string tokenizer_digest(const boost::json::object& description) {
  return runtime::sha256(boost::json::serialize(description));
}

}  // namespace trireme::data
