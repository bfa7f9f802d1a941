import { carriesVia } from "./bulk.ts";

carriesVia("http");
