#!/usr/bin/env bash
# Fails if a line of prose in a Markdown file of the repository is wider than 100 columns.
# Code blocks, tables, link definitions, and lines with a single link or word may be wider. Arguments are files to check
# instead, for a test of this script.
set -euo pipefail
# awk counts bytes in this locale, in every implementation. The script subtracts the continuation bytes of UTF-8.
export LC_ALL=C

cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly WIDTH=100

# Files that may still have wide lines. Remove a pattern as soon as its files are wrapped.
is_excepted() {
  case "$1" in
    # Generated pages, until their generator wraps.
    docs/policies/*|docs/cli.md|docs/checks.md|docs/profiles.md|docs/bypasses.md) return 0 ;;
    *) return 1 ;;
  esac
}

files=()
if [ $# -gt 0 ]; then
  files=("$@")
else
  while IFS= read -r file; do
    is_excepted "$file" || [ ! -f "$file" ] || files+=("$file")
  done < <(git ls-files --cached --others --exclude-standard -- '*.md')
fi
[ ${#files[@]} -gt 0 ] || { echo "markdown-width: there is no Markdown file to check" >&2; exit 1; }

awk -v width="$WIDTH" '
  # Prints the fence of a line, such as ``` or ~~~~. Empty without a fence.
  function fence_of(text) {
    sub(/^[ >]*/, "", text)
    if (match(text, /^(```+|~~~+)/)) return substr(text, 1, RLENGTH)
    return ""
  }
  FNR == 1 { open = "" }
  {
    fence = fence_of($0)
    if (open != "") {
      # A closing fence has at least as many of the same characters, and no text after them.
      rest = $0
      sub(/^[ >]*(```+|~~~+)[ ]*/, "", rest)
      if (fence != "" && index(fence, open) == 1 && rest == "") open = ""
      next
    }
    if (fence != "" && index(substr($0, index($0, fence) + length(fence)), "`") == 0) { open = fence; next }
  }
  /^[ ]*[|]/ { next }
  /^[ ]*\[[^]]+\]:[ ]/ { next }
  {
    text = $0
    gsub(/[\200-\277]/, "", text)
    if (length(text) <= width) next
    # A single word, or a single link, after the marker of a list cannot be broken.
    sub(/^[ ]*([-*+>]|[0-9]+[.)])?[ ]*/, "", text)
    if (text !~ /[ ]/ || text ~ /^!?\[[^]]*\]\([^ )]*\)[.,;:]?$/) next
    printf "%s:%d: a line of prose is wider than %d columns; wrap it\n", FILENAME, FNR, width
    failed = 1
  }
  END { exit failed }
' "${files[@]}" >&2
