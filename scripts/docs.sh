#!/usr/bin/env bash
# Writes the generated pages: docs/policies/ (the policies' own pages and their cases), docs/cli.md (the help of every
# command), docs/profiles.md and charts/plimsoll/files/rights.yaml (the rights that policies need). With --check it
# compares them, and fails if a page differs from the binary's output. The binary is target/release/plimsoll, or
# PLIMSOLL_BIN.
set -euo pipefail
export LC_ALL=C COLUMNS=100

cd "$(dirname "${BASH_SOURCE[0]}")/.."
say() { printf 'docs: %s\n' "$*" >&2; }

check=
case "${1:-}" in
  '') ;;
  --check) check=1 ;;
  *) say "usage: scripts/docs.sh [--check]"; exit 2 ;;
esac

bin=${PLIMSOLL_BIN:-target/release/plimsoll}
[ -x "$bin" ] || { say "$bin does not exist; run: make build"; exit 1; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/policies"

# Never runs on a terminal, because the width of a terminal would wrap the help.
plimsoll() { "$bin" "$@" </dev/null 2>"$scratch/stderr" || { cat "$scratch/stderr" >&2; say "failed: plimsoll $*"; return 1; }; }

# The page of a policy from `explain`, with its facts as a list.
facts_as_list() {
  awk '
    function code(text) { gsub(/, /, "`, `", text); return "`" text "`" }
    # A list item, wrapped at 100 columns.
    function wrapped(text,    count, words, line, i) {
      count = split(text, words, " "); line = words[1]
      for (i = 2; i <= count; i++) {
        if (length(line) + length(words[i]) + 1 > 100) { print line; line = " " }
        line = line " " words[i]
      }
      print line
    }
    NR == 1 { print; next }
    NR == 2 { print; facts = 1; next }
    facts && $0 == "" { facts = 0; print; next }
    facts {
      at = index($0, ": "); name = substr($0, 1, at - 1); value = substr($0, at + 2)
      if (name ~ /^(edits|requires|refines)$/) value = code(value)
      wrapped("- " name ": " value); next
    }
    # The settings schema is aligned text.
    /^## Schema of the settings$/ { print; print ""; print "```text"; schema = 1; next }
    schema { sub(/^    /, "") }
    { print }
    END { if (schema) print "```" }
  '
}

# The cases as examples: headings one level lower, and the words of a fence explained before it.
cases_as_examples() {
  awk '
    function say(text) { print "*" text "*"; print "" }
    /^```/ && fence { fence = 0; print; next }
    /^```/ {
      fence = 1
      if ($0 ~ / context/) say("Beside these objects:")
      else if ($0 ~ / settings/) say("With the settings:")
      else if ($0 ~ / mutated/) say("As the webhook completes it:")
      else if ($0 ~ / old/) say("As it was before the update:")
      else if (match($0, / fixed=[a-z]+/)) say("After `plimsoll check --fix=" substr($0, RSTART + 7, RLENGTH - 7) "`:")
      else {
        if ($0 ~ / open/) say("Where other objects may exist elsewhere:")
        if (match($0, / version=[0-9.]+/)) say("For Kubernetes " substr($0, RSTART + 9, RLENGTH - 9) ":")
        if ($0 ~ / rejected/) say("The API server itself refuses this one:")
      }
      print; next
    }
    fence { print; next }
    /^# / { next }
    /^#/ { print "#" $0; next }
    { print }
  ' "$1" | sed -e '/./,$!d'
}

# policy_page ID CATEGORY
policy_page() {
  local page heading
  page=$(plimsoll explain "$1" | facts_as_list)
  for heading in 'What it finds' 'Why' 'What to write'; do
    grep -qx "## $heading" <<<"$page" || { say "the doc comment of $1 has no heading \`## $heading\`"; return 1; }
  done
  printf '%s\n' "$page"
  local cases=policies/cases/$2/$1.md
  [ -f "$cases" ] || { say "$1 has no $cases"; return 1; }
  printf '\n## Examples\n\n'
  printf 'These are the tests of the policy. A comment names the finding that is expected on its line; see [policy-cases.md](../../policy-cases.md).\n\n'
  cases_as_examples "$cases"
}

policy_index() {
  printf '# Policies\n\nThe built-in policies, in the order of the bundle. The severity is the highest of a policy'\''s findings.\n'
  printf '[policy-set.md](../policy-set.md) tells how to set their actions; `plimsoll explain ID` prints a page offline.\n\n'
  printf '| policy | category | severity | finds |\n| --- | --- | --- | --- |\n'
  awk -F '  +' '{ printf "| [%s](%s/%s.md) | %s | %s | %s |\n", $1, $2, $1, $2, $3, $4 }' "$scratch/list"
}

# help COMMAND…: prints the help of a command, then that of its subcommands.
help() {
  local text sub
  text=$(plimsoll "$@" --help)
  printf '\n## plimsoll%s\n\n```text\n%s\n```\n' "${*:+ $*}" "$text"
  for sub in $(awk '/^Commands:$/ { on = 1; next } on && !/^  / { exit } on && /^  [a-z]/ { print $1 }' <<<"$text"); do
    help "$@" "$sub"
  done
}

plimsoll policy list >"$scratch/list"
policy_index >"$scratch/policies/README.md"
awk '{ print $1, $2 }' "$scratch/list" >"$scratch/ids"
while read -r id category; do
  mkdir -p "$scratch/policies/$category"
  policy_page "$id" "$category" >"$scratch/policies/$category/$id.md"
done <"$scratch/ids"
{
  printf '# Command line\n\nThe help of every command. [check.md](check.md) says more about `plimsoll check`.\n'
  help
} >"$scratch/cli.md"

{
  printf '# Profiles\n\nA profile is where a [ClusterPolicySet](policy-set.md) starts from; its other lines come on top.\n`plimsoll policy profiles` prints these tables.\n\n'
  plimsoll policy profiles
} >"$scratch/profiles.md"

{
  printf '# Rights that the built-in policies need. `make docs` writes this file from their declarations; a test compares both.\n'
  plimsoll policy rights
} >"$scratch/rights.yaml"

if [ -n "$check" ]; then
  status=0
  diff -uN charts/plimsoll/files/rights.yaml "$scratch/rights.yaml" >&2 || status=1
  diff -ruN docs/policies "$scratch/policies" >&2 || status=1
  diff -uN docs/cli.md "$scratch/cli.md" >&2 || status=1
  diff -uN docs/profiles.md "$scratch/profiles.md" >&2 || status=1
  if [ "$status" != 0 ]; then
    say "the generated pages differ from the code; run: make docs"
    exit 1
  fi
else
  rm -rf docs/policies
  cp -R "$scratch/policies" docs/policies
  cp "$scratch/cli.md" docs/cli.md
  cp "$scratch/profiles.md" docs/profiles.md
  cp "$scratch/rights.yaml" charts/plimsoll/files/rights.yaml
fi
