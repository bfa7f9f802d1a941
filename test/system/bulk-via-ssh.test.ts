import { carriesVia } from "./bulk.ts";

carriesVia("ssh");
