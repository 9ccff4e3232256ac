// A library that needs another one, libcudnn_of_tests.so.9, in a folder where no loader looks.
extern "C" int cudnn_of_tests();
extern "C" int needs_cudnn() { return cudnn_of_tests(); }
