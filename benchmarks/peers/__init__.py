"""The servers that ours is compared with: each the smallest chat and echo that its own documentation leads to."""
