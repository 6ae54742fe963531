"""Sets a variable and reads it, as any other program can."""

import globstash

globstash.set("hello/greeting", "Hello, world")
print(globstash.get("hello/greeting"))
