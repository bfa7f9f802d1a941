// Builds our native code with the machine's C++ compiler. No headers are downloaded: `node-api-headers` carries them.
// A machine without a compiler still runs: each module has a slower way in JavaScript, and the engine says which is in use.
