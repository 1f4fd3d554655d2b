/* Libraries that TensorFlow loads before it registers a GPU and that no test computes with. */
int fake_library;
