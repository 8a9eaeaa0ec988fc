#!/bin/sh
# The README's first screen: what the first command shows in a terminal of 96 × 60, as root, with tmux installed:
#     deno task compile && sh scripts/first_screen.sh
root=$(cd "$(dirname "$0")/.." && pwd -P) || exit 2
socket=$(mktemp -d) || exit 2
trap 'tmux -S "$socket/tmux" kill-server 2>/dev/null; rm -rf "$socket"' EXIT
tmux -u -S "$socket/tmux" new-session -d -x 96 -y 60 \
  "env LC_ALL=C.UTF-8 '$root/dist/oomkit' simulate --mb 20; echo; echo it is over; exec sleep 60"
tries=300
until screen=$(tmux -S "$socket/tmux" capture-pane -p) && echo "$screen" | grep -q '^it is over'; do
  tries=$((tries - 1))
  [ $tries -gt 0 ] || exit 2
  sleep 0.1
done
echo "$screen" | sed '/^it is over/,$d'
