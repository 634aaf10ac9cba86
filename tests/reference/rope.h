// Rotary position embedding of one head in float64: channels i and i + D/2 are the real and imaginary part of a number
// that is multiplied by exp(i position theta^(-2i/D)) (arXiv:2104.09864, equation 16; the pairing of Hugging Face).
#pragma once

#include <cmath>
#include <complex>
#include <cstdint>
#include <span>

namespace trireme::tests {

/// Angle by which pair i of a head of width D turns at `position`.
inline double rope_angle(double theta, int64_t D, int64_t position, int64_t i) {
  return static_cast<double>(position) / std::pow(theta, 2 * static_cast<double>(i) / static_cast<double>(D));
}

inline void rope_reference(double theta, int64_t position, std::span<double> head) {
  const size_t half = head.size() / 2;
  for (size_t i = 0; i < half; ++i) {
    const double angle = rope_angle(theta, static_cast<int64_t>(head.size()), position, static_cast<int64_t>(i));
    const std::complex<double> turned = std::complex<double>(head[i], head[i + half]) * std::polar(1.0, angle);
    head[i] = turned.real();
    head[i + half] = turned.imag();
  }
}

}  // namespace trireme::tests
