// For clang-tidy alone, which cannot read gcc's <omp.h> (its malloc attributes) and brings none of its own on Debian
// without libomp-19-dev: the calls of OpenMP's runtime that the project uses. Nothing is compiled with it.
#pragma once

extern "C" {
int omp_get_max_threads();
int omp_get_num_procs();
int omp_get_num_threads();
int omp_get_thread_num();
int omp_in_parallel();
void omp_set_dynamic(int);
void omp_set_num_threads(int);
}
