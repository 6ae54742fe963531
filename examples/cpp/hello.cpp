// Sets a variable and gets it: c++ -std=c++17 hello.cpp $(pkg-config --cflags --libs globstash)
#include <globstash.hpp>

#include <iostream>

int main()
{
    try {
        globstash::set("player/volume", "0.5");
        std::cout << "the volume is " << globstash::get("player/volume").value_or("not set") << '\n';
    } catch (const globstash::error &error) {
        std::cerr << "hello: " << error.what() << '\n';
        return 1;
    }
}
