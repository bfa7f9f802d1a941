import { carriesThroughUpstreams } from "./bulk.ts";

carriesThroughUpstreams();
