/**
 * Look-ups of names may take half of the process's threads, and 2 of the usual 4 are soon used up by names that nobody
 * answers for. It counts only before the first use of a thread, hence before all other imports; who has set it knows why.
 */
process.env["UV_THREADPOOL_SIZE"] ??= "16";
