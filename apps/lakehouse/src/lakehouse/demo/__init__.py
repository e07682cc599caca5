"""The main job on real tables, from nothing: a stack, an ERP, three runs, five marts."""
