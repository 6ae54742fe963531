"""Sets a variable and gets it."""

import sys

import globstash

try:
    globstash.set("player/volume", "0.5")
    print("the volume is", globstash.get("player/volume"))
except globstash.Error as error:
    sys.exit(f"hello: {error}")
