#!/usr/bin/env bash
# tokenizer_files.sh PYTHON: fetches the vocabularies of cl100k, o200k, Llama 3 and Qwen, as tiktoken keeps them, into
# build/venv/tokenizers and prints that path. They have no address of their own in the registry of Python packages, but
# lie in packages there (18 MB, once; only these files are kept). Exit 77, and a line that begins with SKIPPED, when the
# registry cannot be reached.
set -eu
python=$1
files=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/build/venv/tokenizers

# package, file in it, name here, SHA-256 (of the first two: what tiktoken 0.14 expects)
list='
litellm==1.75.8 litellm/litellm_core_utils/tokenizers/9b5ad71b2ce5302211f9c61530b329a4922fc6a4 cl100k_base.tiktoken 223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7
litellm==1.75.8 litellm/litellm_core_utils/tokenizers/fb374d419588a4632f3f557e76b4b70aebbca790 o200k_base.tiktoken 446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d
llama_models==0.3.0 llama_models/llama3/tokenizer.model llama3.tiktoken 82e9d31979e92ab929cd544440f129d9ecd797b69e327f80f17e1c50d5551b55
dashscope==2.0.2 dashscope/resources/qwen.tiktoken qwen.tiktoken b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186'

mkdir -p "$files"
exec 9>"$files.lock"
flock 9
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "$list" | while read -r package member name hash; do
  [ -n "$package" ] || continue
  ! echo "$hash  $files/$name" | sha256sum --check --status 2>/dev/null || continue
  if [ ! -d "$work/$package" ]; then
    timeout 300 "$python" -m pip download --quiet --no-deps --only-binary :all: --no-cache-dir \
      --dest "$work/$package" "$package" >&2 || {
      echo "SKIPPED: no vocabularies to compare tokenizers with: the registry has not given $package" >&2 && exit 77
    }
  fi
  "$python" -m zipfile --extract "$work/$package"/*.whl "$work/$package"
  echo "$hash  $work/$package/$member" | sha256sum --check --quiet >&2
  mv "$work/$package/$member" "$files/$name"
done
echo "$files"
